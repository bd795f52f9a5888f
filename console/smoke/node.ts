import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const binary = join(import.meta.dirname, '../../bin/portcullisd')

// Node has joined central as portcullisd does, and says of itself what a test wants.
export class Node {
  private readonly central: string
  private readonly name: string
  private readonly folder: string
  private readonly identity: Buffer
  private stream?: ClientRequest

  constructor(central: string, name: string, token: string) {
    this.central = central
    this.name = name
    this.folder = mkdtempSync(join(tmpdir(), 'portcullis-node-'))
    const config = join(this.folder, 'config.yaml')
    writeFileSync(config, `runtime: /run/none/r.sock\nstate: ${this.folder}/state\nnode: ${name}\n`)
    execFileSync(binary, ['--config', config, 'join', '--central', central, '--token-file', '-'], { input: token, stdio: ['pipe', 'pipe', 'inherit'] })
    this.identity = readFileSync(join(this.folder, 'state/central/identity.pem'))
  }

  private post(method: string, type: string) {
    const headers = { 'Content-Type': type, 'Connect-Protocol-Version': '1' }
    const url = `${this.central}/portcullis.v1.SyncService/${method}`
    return request(url, { method: 'POST', headers, cert: this.identity, key: this.identity, rejectUnauthorized: false, agent: false })
  }

  private call(method: string, message: object) {
    return new Promise<void>((done, failed) => {
      const call = this.post(method, 'application/json')
      call.on('error', failed)
      call.on('response', (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () => (response.statusCode === 200 ? done() : failed(new Error(`${method}: ${response.statusCode} ${body}`))))
      })
      call.end(JSON.stringify(message))
    })
  }

  // connect holds the stream that makes the node connected, and returns the number of the newest bundle.
  connect() {
    return new Promise<number>((found, failed) => {
      this.stream = this.post('Sync', 'application/connect+json')
      this.stream.on('error', failed)
      let text = ''
      this.stream.on('response', (response) => {
        response.on('error', failed)
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString('latin1')
          const number = /"bundle":{"number":"?(\d+)/.exec(text)?.[1]
          if (number) found(Number(number))
        })
      })
      const message = Buffer.from('{}')
      this.stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]))
    })
  }

  reportState(state: { bundle?: number; rejectedBundle?: number; rejection?: string }) {
    const info = { name: this.name, addresses: ['10.0.0.1', 'fd00::1'], version: '1.0.0', runtimeVersion: 'containerd 2.1.4', kernelVersion: '6.1.0-40-amd64', platform: 'linux/amd64' }
    return this.call('ReportState', { info, ...state, time: new Date().toISOString() })
  }

  reportImages(...added: { id: string; tags?: string[]; digests?: string[] }[]) {
    return this.call('ReportInventory', { complete: true, added })
  }

  end() {
    this.stream?.on('error', () => {})
    this.stream?.destroy()
    rmSync(this.folder, { recursive: true })
  }
}
