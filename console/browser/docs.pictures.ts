import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launch, open, settled } from './chromium'
import { login, start, url, type Wanted } from './lab'

const folder = join(import.meta.dirname, '../../docs/images')
const largest = 100 * 1024
const allOfThem = 4 * 1024 * 1024

let browser: Browser
let page: Page

beforeAll(async () => {
  browser = await launch()
  page = await open(browser, [url])
  await login(page)
})

afterAll(async () => browser?.close())

async function call(method: string, data: object) {
  const answer = await page.request.post(`${url}/portcullis.v1.${method}`, { data })
  if (!answer.ok()) throw new Error(`${method}: ${await answer.text()}`)
}

function policy(name: string, effect: string, rules: string) {
  return `apiVersion: portcullis/v1\nkind: ImagePolicy\nmetadata: {name: ${name}}\nspec:\n  enabled: true\n  effect: ${effect}\n  ${rules}\n  scope: {images: {all: true}}\n`
}

const starts: Wanted[] = [
  { image: 'shop/cart', pod: 'cart-7f9c', namespace: 'shop', container: 'cart' },
  { image: 'shop/billing', pod: 'billing-5c4d', namespace: 'shop', container: 'billing' },
  { image: 'tools/agent', pod: 'agent-x2k8', namespace: 'tools', container: 'agent' },
  { image: 'tools/debug', pod: 'debug', namespace: 'ops', capabilities: ['SYS_ADMIN', 'NET_ADMIN'] },
]

// furnish makes central look as it does after some days of use.
async function furnish() {
  const documents = [
    policy('no criticals', '{mode: Immediate}', 'template: RiskyImage\n  risk: {vulnerabilities: {severities: [Critical], onlyFixable: true}, malware: {}}'),
    policy('watch secrets', '{mode: Observe, days: 2}', 'template: RiskyImage\n  description: Leaked keys, to be blocked from next week on\n  risk: {secrets: {levels: [Critical, High]}}'),
    policy('no privileges', '{mode: Immediate}', 'template: PrivilegedStart\n  privileges: {parameters: [SYS_ADMIN, privileged, host-path-sensitive]}'),
  ]
  for (const document of documents) await call('PolicyService/CreatePolicy', { document })
  const expires = new Date(Date.now() + 5 * 24 * 3600 * 1000).toISOString()
  const exemption = `apiVersion: portcullis/v1\nkind: Exemption\nmetadata: {name: cni needs the host}\nspec:\n  reason: node network agent, reviewed in SEC-1234\n  author: security@example.com\n  expires: ${expires}\n  images: ["registry.example.com/net/cni"]\n  policies: [no privileges]\n`
  await call('PolicyService/CreateExemption', { document: exemption })
  await call('UserService/CreateUser', { name: 'alice', role: 'ROLE_EDITOR', password: 'for the first login 7' })
  await expect.poll(() => start(starts[0]!), { timeout: 60_000 }).not.toBe('')
  for (let round = 1; round <= 5; round++) for (const wanted of starts.slice(0, round)) await start(wanted)
  await page.goto(url + '/events')
  for (const { pod } of starts) await page.getByRole('row', { name: pod }).first().waitFor()
}

// inFull makes a picture of the page as far as it goes, and no further than a reader scrolls.
async function inFull(shown: Page, name: string) {
  await settled(shown)
  await shown.mouse.move(0, 0)
  const height = await shown.evaluate(() => document.documentElement.scrollHeight)
  const session = await shown.context().newCDPSession(shown)
  const clip = { x: 0, y: 0, width: 1280, height: Math.min(height, 1300), scale: 1 }
  for (const quality of [80, 60, 40, 20]) {
    const { data } = (await session.send('Page.captureScreenshot', { format: 'webp', quality, clip, captureBeyondViewport: true })) as { data: string }
    const picture = Buffer.from(data, 'base64')
    if (picture.length > largest && quality > 20) continue
    if (picture.length > largest) throw new Error(`${name} is too large`)
    writeFileSync(join(folder, `${name}.webp`), picture)
    break
  }
  await session.detach()
}

// first follows the first link of a list.
async function first(shown: Page, name: string | RegExp) {
  const list = shown.url()
  await shown.getByRole('row').getByRole('link', { name }).first().click()
  await shown.waitForURL((to) => to.href !== list)
}

type Visit = (shown: Page) => Promise<unknown>

// visits are the pages, and what is done there before the picture.
const visits: Record<string, { path: string; visit?: Visit }> = {
  overview: { path: '/', visit: (shown) => shown.locator('canvas').waitFor() },
  policies: { path: '/policies' },
  'policy-new': { path: '/policies/new' },
  'policy-edit': { path: '/policies/no%20criticals/edit' },
  'policy-privileged': { path: '/policies/no%20privileges/edit' },
  policy: { path: '/policies/watch%20secrets' },
  events: { path: '/events' },
  event: { path: '/events?pod=cart', visit: (shown) => first(shown, /\d/) },
  images: { path: '/images' },
  image: { path: '/images?search=cart', visit: (shown) => first(shown, /cart/) },
  nodes: { path: '/nodes' },
  node: { path: '/nodes', visit: (shown) => first(shown, 'worker-1') },
  'nodes-join': { path: '/nodes/join' },
  exemptions: { path: '/exemptions' },
  'exemption-new': { path: '/exemptions/new?policy=no+criticals&finding=CVE-2021-44228' },
  notifications: { path: '/notifications' },
  'notification-new': { path: '/notifications/new' },
  users: { path: '/users' },
  audit: { path: '/audit' },
  profile: { path: '/profile' },
}

async function pictures(language: 'en' | 'zh', colorScheme: 'light' | 'dark') {
  const options = { locale: language === 'zh' ? 'zh-CN' : 'en-US', colorScheme }
  const stranger = await open(browser, [url], options)
  await stranger.goto(url)
  await stranger.locator('form').waitFor()
  await inFull(stranger, `login-${language}-${colorScheme}`)
  await stranger.context().close()

  // What the browser keeps besides the session, the language among it, is not taken along.
  const { cookies } = await page.context().storageState()
  const shown = await open(browser, [url], { ...options, storageState: { cookies, origins: [] } })
  for (const [name, { path, visit }] of Object.entries(visits)) {
    await shown.goto(url + path)
    await settled(shown)
    await visit?.(shown)
    await inFull(shown, `${name}-${language}-${colorScheme}`)
  }
  await shown.context().close()
}

test('pictures of every page', async () => {
  await furnish()
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (name.endsWith('.webp')) rmSync(join(folder, name))
  for (const language of ['en', 'zh'] as const) for (const colorScheme of ['light', 'dark'] as const) await pictures(language, colorScheme)
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size)
  expect(sizes.length).toBe(4 * (Object.keys(visits).length + 1))
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(allOfThem)
})
