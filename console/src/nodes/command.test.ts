import { expect, test } from 'vitest'
import { commandOf } from './command'

test('a token is an argument, which every user of the machine can read', () => {
  expect(commandOf('portcullisd join --central https://central.example.com:8443 --token-file FILE', 'pcj_1.A.f')).toBe(
    "printf '%s' 'pcj_1.A.f' | portcullisd join --central https://central.example.com:8443 --token-file -",
  )
})
