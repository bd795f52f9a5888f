import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export const laptop = { width: 1280, height: 800 }

export function launch() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

// complaints are what no page may do: break the content security policy, throw, or ask another host.
export const complaints: string[] = []

// open gives a page in a browser of its own: other cookies, other settings.
export async function open(browser: Browser, hosts: string[], options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-US', viewport: laptop, ...options })
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  page.on('console', (message) => {
    if (/Content Security Policy|Warning:/.test(message.text())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    if (![...hosts, 'data:', 'blob:'].some((host) => request.url().startsWith(host))) complaints.push(request.url())
  })
  return page
}

// settled waits until what a page asks for is there. The network is never idle where events are followed.
export async function settled(page: Page) {
  await page.getByRole('heading', { level: 1 }).waitFor()
  await expect.poll(() => page.locator('.ant-spin-spinning').count(), { timeout: 60_000 }).toBe(0)
}

// shot keeps a picture for the eye where SHOTS names a folder.
export async function shot(page: Page, name: string) {
  if (!process.env.SHOTS) return
  await page.evaluate(() => window.scrollTo(0, 0))
  await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true })
}

interface Violation {
  id: string
  impact: string | null
  nodes: { html: string; failureSummary?: string }[]
}

// still waits until nothing fades in any more: what is half there has half its contrast.
export function still(page: Page) {
  return page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().iterations !== Infinity).map((a) => a.finished.catch(() => a))).then(() => true))
}

// accessibility is what axe finds serious.
export async function accessibility(page: Page) {
  await still(page)
  // axe is evaluated by the debugger, which the content security policy does not bind.
  await page.evaluate(axe)
  const violations = (await page.evaluate('axe.run().then((result) => result.violations)')) as Violation[]
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html + ' ' + (node.failureSummary ?? '')).join(' | ')}`)
}

// writeYAML puts a text in the place of the one in the editor, at one stroke: the editor's history goes by
// time, and what is typed may be completed.
export async function writeYAML(page: Page, change: (before: string) => string) {
  const yaml = page.getByRole('textbox', { name: 'YAML' })
  const lines = await yaml.locator('.cm-line').allTextContents()
  await yaml.click()
  await page.keyboard.press('ControlOrMeta+a')
  await yaml.evaluate((element, text) => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', text)
    element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
  }, change(lines.join('\n')))
}
