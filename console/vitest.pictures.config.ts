import { defineConfig } from 'vitest/config'

export default defineConfig({ test: { include: ['browser/*.pictures.ts'], testTimeout: 540_000, hookTimeout: 120_000 } })
