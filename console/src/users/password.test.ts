import { expect, test } from 'vitest'
import { oneTimePassword } from './password'

test('a password is one that central refuses, or not a new one', () => {
  const passwords = Array.from({ length: 1000 }, oneTimePassword)
  expect(new Set(passwords).size).toBe(1000)
  for (const password of passwords) {
    expect(password).toMatch(/^[A-Z2-7]{26}$/)
    expect(new Set(password).size).toBeGreaterThanOrEqual(6)
  }
})
