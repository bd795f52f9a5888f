import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Central } from './central'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const password = 'a portcullis of oak 7'
const firstLoad = 500 * 1024

let central: Central
let browser: Browser
let page: Page
const complaints: string[] = []
const strangers: string[] = []

beforeAll(async () => {
  central = await Central.start()
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-US', viewport: { width: 1280, height: 800 } })
  page = await context.newPage()
  page.on('console', (message) => {
    if (/Content Security Policy|Warning:/.test(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    if (!request.url().startsWith(central.url) && !request.url().startsWith('data:')) strangers.push(request.url())
  })
})

afterAll(async () => {
  await browser?.close()
  await central?.stop()
})

// shot keeps a picture for the eye where SHOTS names a folder.
async function shot(name: string) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true })
}

interface Violation {
  id: string
  impact: string | null
  nodes: { html: string; failureSummary?: string }[]
}

async function accessibility() {
  // axe is evaluated by the debugger, which the content security policy does not bind.
  await page.evaluate(axe)
  const violations = (await page.evaluate('axe.run().then((result) => result.violations)')) as Violation[]
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html + ' ' + (node.failureSummary ?? '')).join(' | ')}`)
}

test('the first login asks for a password of its own and leads to the overview', async () => {
  await page.goto(central.url)
  await page.getByLabel('Name').fill('admin')
  await page.getByLabel('Password').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByText('Name or password is wrong.').waitFor()
  await shot('login')
  expect(await accessibility()).toEqual([])

  const once = await central.password
  await page.getByLabel('Password').fill(once)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByLabel('Password so far').fill(once)
  await page.getByLabel('New password', { exact: true }).fill(password)
  await page.getByLabel('New password again').fill(password)
  await page.getByRole('button', { name: 'Change password' }).click()
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
})

test('the overview is at most 500 KiB to load', async () => {
  const cold = await browser.newContext({ ignoreHTTPSErrors: true, storageState: await page.context().storageState() })
  const overview = await cold.newPage()
  const session = await cold.newCDPSession(overview)
  let bytes = 0
  session.on('Network.loadingFinished', (event) => {
    bytes += event.encodedDataLength
  })
  await session.send('Network.enable')
  await overview.goto(central.url, { waitUntil: 'networkidle' })
  await overview.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
  await cold.close()
  expect(bytes).toBeGreaterThan(50 * 1024)
  expect(bytes).toBeLessThan(firstLoad)
})

test('the overview is shown in both languages and themes, and on a phone', async () => {
  await page.waitForLoadState('networkidle')
  await shot('overview-en-light')
  expect(await accessibility()).toEqual([])
  await page.getByRole('button', { name: 'Language' }).click()
  await page.getByText('简体中文').click()
  await page.getByRole('heading', { name: '概览', level: 1 }).waitFor()
  await page.getByRole('button', { name: '外观' }).click()
  await page.getByText('深色').click()
  await page.getByRole('heading', { name: '概览', level: 1 }).click()
  await page.getByText('深色').waitFor({ state: 'hidden' })
  await shot('overview-zh-dark')
  expect(await accessibility()).toEqual([])
  await page.setViewportSize({ width: 390, height: 844 })
  await page.getByRole('button', { name: '菜单' }).waitFor()
  await shot('overview-phone')
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
})

test('nothing breaks the content security policy or leaves for another host', () => {
  expect(complaints).toEqual([])
  expect(strangers).toEqual([])
})
