import { defineConfig } from 'vitest/config'

export default defineConfig({ test: { bail: 1, include: ['smoke/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 } })
