import { defineConfig } from 'vitest/config'

// One after another: the tests of a file go on where the one before has ended, and all share one node.
export default defineConfig({ test: { include: ['smoke/**/*.test.ts', 'browser/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false, bail: 1 } })
