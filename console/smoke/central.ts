import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'

const binary = join(import.meta.dirname, '../../bin/portcullis-central')

async function freePort() {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  await new Promise((closed) => server.close(closed))
  return (address as { port: number }).port
}

// Central is a real one of this build, on SQLite in a folder of its own.
export class Central {
  readonly url: string
  readonly password: Promise<string>
  private readonly folder: string
  private readonly process: ChildProcess

  private constructor(port: number) {
    this.url = `https://localhost:${port}`
    this.folder = mkdtempSync(join(tmpdir(), 'portcullis-console-'))
    const config = join(this.folder, 'config.yaml')
    writeFileSync(config, `listen: 127.0.0.1:${port}\nmetrics: {address: ""}\n`)
    this.process = spawn(binary, ['--config', config, '--data', join(this.folder, 'data')])
    this.password = this.readPassword()
  }

  static async start() {
    return new Central(await freePort())
  }

  private readPassword() {
    return new Promise<string>((found, failed) => {
      let output = ''
      const read = (chunk: Buffer) => {
        output += chunk.toString()
        const password = /one-time password (\w+)/.exec(output)?.[1]
        if (password) found(password)
      }
      this.process.stdout?.on('data', read)
      this.process.stderr?.on('data', read)
      this.process.on('exit', () => failed(new Error(`portcullis-central ended:\n${output}`)))
      this.process.on('error', failed)
    })
  }

  async stop() {
    const ended = new Promise((exit) => this.process.on('exit', exit))
    this.process.kill('SIGTERM')
    await ended
    rmSync(this.folder, { recursive: true })
  }
}

export const password = 'a portcullis of oak 7'

// firstLogin logs somebody in who has to choose a password in the place of one that is good once.
export async function firstLogin(page: Page, name: string, once: string) {
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Password').fill(once)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByLabel('Password so far').fill(once)
  await page.getByLabel('New password', { exact: true }).fill(password)
  await page.getByLabel('New password again').fill(password)
  await page.getByRole('button', { name: 'Change password' }).click()
}
