import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launch, open } from '../browser/chromium'
import { Central, firstLogin } from './central'

let central: Central
let browser: Browser
let page: Page

beforeAll(async () => {
  central = await Central.start()
  browser = await launch()
  page = await open(browser, [central.url])
  await page.goto(central.url)
  await firstLogin(page, 'admin', await central.password)
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
})

afterAll(async () => {
  await browser?.close()
  await central?.stop()
})

async function call(method: string, body: object) {
  const answer = await page.evaluate(
    async ({ url, body }) => {
      const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
      if (!response.ok) throw new Error(await response.text())
      return (await response.json()) as { policy: { document: string; revision: string } }
    },
    { url: `/portcullis.v1.PolicyService/${method}`, body },
  )
  return answer.policy
}

function document(name: string, description: string) {
  return JSON.stringify({
    apiVersion: 'portcullis/v1',
    kind: 'ImagePolicy',
    metadata: { name },
    spec: { description, template: 'RiskyImage', enabled: true, effect: { mode: 'Immediate' }, risk: { malware: {} }, scope: { images: { all: true } } },
  })
}

test('a tab says what page it has', async () => {
  await page.goto(central.url + '/nodes')
  await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor()
  expect(await page.title()).toBe('Nodes · Portcullis')
  await page.getByRole('link', { name: 'Images' }).click()
  await page.getByRole('heading', { name: 'Images', level: 1 }).waitFor()
  expect(await page.title()).toBe('Images · Portcullis')
})

test('a long name leaves the columns beside it in sight', async () => {
  await call('CreatePolicy', { document: document('W'.repeat(128), 'long') })
  await page.goto(central.url + '/policies')
  const state = page.getByRole('cell', { name: 'Blocking' })
  await state.waitFor()
  const box = await state.boundingBox()
  expect(box!.x + box!.width).toBeLessThan(1280)
})

test('the last change of a page of the history is compared with the one on the next page', async () => {
  let policy = await call('CreatePolicy', { document: document('often changed', 'change 1') })
  for (let change = 2; change <= 22; change++) policy = await call('UpdatePolicy', { document: document('often changed', `change ${change}`), revision: policy.revision })
  await page.goto(central.url + '/policies/often%20changed')
  await page.getByRole('button', { name: /^Revision 3 / }).click()
  expect(await page.locator('ins').innerText()).toContain('change 3')
  expect(await page.locator('del').innerText()).toContain('change 2')
})

test('what is gone is said to be gone', async () => {
  await page.goto(central.url + '/policies/never%20was')
  await page.getByText('There is no such thing any more.').waitFor()
  expect(await page.getByRole('button', { name: 'Try again' }).count()).toBe(0)
})

test('figures that cannot be had anew are said to be old', async () => {
  await page.goto(central.url)
  await page.getByText('Nothing needs attention').waitFor()
  await page.route('**/portcullis.v1.*/*', (route) => route.abort())
  await page.getByText('What is shown may be out of date').waitFor({ timeout: 90_000 })
  expect(await page.getByText('Nothing needs attention').isVisible()).toBe(true)
  await page.unroute('**/portcullis.v1.*/*')
  await page.getByRole('button', { name: 'Try again' }).click()
  await page.getByText('What is shown may be out of date').waitFor({ state: 'hidden' })
})
