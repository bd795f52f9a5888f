import { readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const dist = join(import.meta.dirname, 'dist')

// compressed leaves of every text file its .br and .gz, which is all that central embeds and serves.
// It empties the folder itself, because Vite would remove the committed .gitignore too.
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    buildStart() {
      for (const name of readdirSync(dist)) {
        if (name !== '.gitignore') rmSync(join(dist, name), { recursive: true })
      }
    },
    closeBundle() {
      for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg)$/.test(entry.name)) continue
        const file = join(entry.parentPath, entry.name)
        const text = readFileSync(file)
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: text.length }
        writeFileSync(file + '.br', brotliCompressSync(text, { params }))
        writeFileSync(file + '.gz', gzipSync(text, { level: 9 }))
        unlinkSync(file)
      }
    },
  }
}

// npm run dev serves the sources and sends calls on to a central, CENTRAL or the one on this machine.
const central = { target: process.env.CENTRAL ?? 'https://localhost:8443', secure: false, changeOrigin: false }

export default defineConfig({
  plugins: [react(), compressed()],
  server: { proxy: { '/portcullis.v1.': central, '/api/': central, '/auth/': central } },
  build: {
    emptyOutDir: false,
    // The content security policy refuses data: scripts, and a small file of its own is cached as well.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
  },
  test: { include: ['src/**/*.test.{ts,tsx}'] },
})
