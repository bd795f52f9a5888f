import { Code, ConnectError } from '@connectrpc/connect'
import { expired } from '../central'

// Uploaded is central's answer.
export interface Uploaded {
  report: { id: string }
  // Known images that the report is about.
  images: string[]
  warnings?: string[]
}

// maxReport is central's limit: what is larger need not be sent.
export const maxReport = 100 * 1024 * 1024

const codes: Record<number, Code> = { 401: Code.Unauthenticated, 403: Code.PermissionDenied, 429: Code.ResourceExhausted }

// refusal is what central, or something in between, says of a report that was not taken.
export function refusal(status: number, type: string, body: string) {
  const code = codes[status] ?? Code.Unknown
  if (type.startsWith('application/json')) {
    const { message } = JSON.parse(body) as { message?: string }
    return new ConnectError(message ?? String(status), code)
  }
  const says = type.startsWith('text/plain') ? body.trim() : ''
  return new ConnectError(says || `HTTP ${status}`, code)
}

interface Options {
  // The image that the report is about where it does not say so itself.
  image: string
  signal: AbortSignal
  onProgress: (percent: number) => void
}

// uploadReport sends a report as it is. Only XMLHttpRequest tells how much is sent.
export function uploadReport(report: Blob, { image, signal, onProgress }: Options) {
  return new Promise<Uploaded>((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.upload.addEventListener('progress', ({ loaded, total }) => onProgress(Math.floor((loaded / total) * 100)))
    request.addEventListener('load', () => {
      const { status, responseText } = request
      if (status === 200) return resolve(JSON.parse(responseText) as Uploaded)
      if (status === 401) expired()
      reject(refusal(status, request.getResponseHeader('Content-Type') ?? '', responseText))
    })
    request.addEventListener('error', () => reject(new ConnectError('', Code.Unavailable)))
    request.addEventListener('abort', () => reject(new ConnectError('', Code.Canceled)))
    signal.addEventListener('abort', () => request.abort())
    request.open('POST', '/api/v1/reports' + (image && `?image=${encodeURIComponent(image)}`))
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    request.send(report)
  })
}
