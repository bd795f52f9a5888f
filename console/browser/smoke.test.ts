import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Central } from './central'
import { accessibility, complaints, launch, open, shot, writeYAML } from './chromium'

const password = 'a portcullis of oak 7'
const firstLoad = 500 * 1024

let central: Central
let browser: Browser
let page: Page

beforeAll(async () => {
  central = await Central.start()
  browser = await launch()
  page = await open(browser, [central.url])
})

afterAll(async () => {
  await browser?.close()
  await central?.stop()
})

test('the first login asks for a password of its own and leads to the overview', async () => {
  await page.goto(central.url)
  await page.getByLabel('Name').fill('admin')
  await page.getByLabel('Password').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByText('Name or password is wrong.').waitFor()
  await shot(page, 'login')
  expect(await accessibility(page)).toEqual([])

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
  // The chart counts too, whatever central knows of events.
  const days = [{ date: '2026-11-22', blocked: '1', alerted: '2' }, { date: '2026-11-23', blocked: '3' }]
  await overview.route('**/GetEventOverview', (route) => route.fulfill({ json: { days } }))
  await overview.goto(central.url)
  await overview.locator('canvas').waitFor()
  await overview.waitForLoadState('networkidle')
  if (process.env.SHOTS) await overview.screenshot({ path: `${process.env.SHOTS}/overview-chart.png` })
  await cold.close()
  expect(bytes).toBeGreaterThan(50 * 1024)
  expect(bytes).toBeLessThan(firstLoad)
})

test('a policy is made in the form and in the YAML beside it', async () => {
  await page.goto(central.url + '/policies/new')
  await page.getByRole('button', { name: 'Create: Risky image' }).click()
  await page.getByLabel('Name', { exact: true }).fill('no criticals')
  const yaml = page.getByRole('textbox', { name: 'YAML' })
  await yaml.getByText('name: no criticals').waitFor()
  await page.getByRole('switch', { name: 'Malware' }).click()
  await yaml.getByText('malware: {}').waitFor()
  await writeYAML(page, (text) => text.replace('days: 7', 'days: 70 # two months'))
  await expect.poll(() => page.getByLabel('Days of observation').inputValue()).toBe('70')
  await shot(page, 'policy-new')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Preview the impact' }).click()
  await page.getByText('It would stop nothing that is known.').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'no criticals', level: 1 }).waitFor()
  await shot(page, 'policy')
  expect(await accessibility(page)).toEqual([])
})

test('a mistake is shown where it is, and the form waits for broken YAML', async () => {
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('Days of observation').waitFor()
  await writeYAML(page, (text) => text.replace('mode: Observe', 'mode: Observe\n    mode: Immediate'))
  await page.getByText('The YAML has a mistake').waitFor()
  expect(await page.getByLabel('Days of observation').isDisabled()).toBe(true)
  await shot(page, 'policy-broken')
  await page.keyboard.press('ControlOrMeta+z')
  await page.getByText('The YAML has a mistake').waitFor({ state: 'hidden' })
  await writeYAML(page, (text) => text.replace('mode: Observe', 'mode: Observe\n    weeks: 2'))
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').getByText('weeks').first().waitFor()
  await shot(page, 'policy-mistake')
})

test('a session that ends keeps what was entered', async () => {
  await page.getByLabel('Description').fill('half a sentence')
  await page.context().clearCookies()
  await page.getByRole('button', { name: 'Save' }).click()
  const dialog = page.getByRole('dialog', { name: 'Your session has ended' })
  await dialog.getByLabel('Password').fill(password)
  await shot(page, 'expired')
  await dialog.getByRole('button', { name: 'Log in' }).click()
  await dialog.waitFor({ state: 'hidden' })
  expect(await page.getByLabel('Description').inputValue()).toBe('half a sentence')
})

test('two editors of one policy do not overwrite each other', async () => {
  await writeYAML(page, (text) => text.replace(/ *weeks: 2\n/, ''))
  const other = await page.context().newPage()
  await other.goto(central.url + '/policies')
  await other.getByRole('switch', { name: 'Switch no criticals on or off' }).click()
  await other.getByRole('button', { name: 'Switch on' }).click()
  await other.getByText('Observing until').waitFor()
  await other.close()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog', { name: 'Somebody else changed this policy' }).waitFor()
  await shot(page, 'policy-conflict')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Save mine in its place' }).click()
  await page.getByText('The policy is saved.').waitFor()
})

test('privileges are a tree', async () => {
  await page.goto(central.url + '/policies/new')
  await page.getByRole('button', { name: 'Create: Privileged start' }).click()
  await page.getByLabel('Name', { exact: true }).fill('no privileges')
  await page.getByRole('tree').waitFor()
  await shot(page, 'policy-privileged')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Create', exact: true }).click()
  await page.getByRole('heading', { name: 'no privileges', level: 1 }).waitFor()
})

test('events are listed and told in full', async () => {
  const event = {
    id: '1', action: 'ACTION_BLOCK', template: 'RiskyImage', policy: 'no criticals', severity: 'Critical', count: '12345',
    because: 'policy "no criticals": CVE-2021-44228 Critical in log4j-core 2.14.0 (fixed in 2.17.1)', image: 'registry.example.com/shop/cart:1.2',
    imageId: 'sha256:' + 'ab'.repeat(32), registry: 'registry.example.com', namespace: 'shop', pod: 'cart-5d9c', container: 'cart', node: 'worker-1',
    cluster: 'prod', asks: [{ parameter: 'host-path', detail: '/etc' }], firstTime: '2026-11-22T10:00:00Z', lastTime: '2026-11-23T10:00:00Z',
  }
  await page.route('**/ListEvents', (route) => route.fulfill({ json: { events: [event], total: '1' } }))
  await page.route('**/GetEvent', (route) => route.fulfill({ json: { event, remedy: 'Update log4j-core to 2.17.1.' } }))
  await page.goto(central.url + '/events?action=block&days=7')
  await page.getByText('registry.example.com/shop/cart:1.2').waitFor()
  await shot(page, 'events-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('link', { name: 'Nov 23' }).click()
  await page.getByText('Update log4j-core to 2.17.1.').waitFor()
  await shot(page, 'event-en-light')
  expect(await accessibility(page)).toEqual([])
})

test('what was done is in the audit log', async () => {
  await page.goto(central.url + '/audit?kind=policy')
  await page.getByRole('cell', { name: 'UpdatePolicy' }).first().waitFor()
  await page.getByRole('button', { name: 'Expand row' }).first().click()
  await page.locator('.diff').first().waitFor()
  await shot(page, 'audit-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.goto(central.url + '/profile')
  await page.getByLabel('Password so far').waitFor()
  await shot(page, 'profile-en-light')
  expect(await accessibility(page)).toEqual([])
})

test('every page is shown in both languages and themes, and on a phone', async () => {
  await page.goto(central.url + '/')
  await page.waitForLoadState('networkidle')
  await shot(page, 'overview-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.goto(central.url + '/policies')
  await page.getByText('no criticals').waitFor()
  await shot(page, 'policies-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Language' }).click()
  await page.getByText('简体中文').click()
  await page.getByRole('button', { name: '外观' }).click()
  await page.getByText('深色').click()
  await page.getByText('深色').waitFor({ state: 'hidden' })
  await shot(page, 'policies-zh-dark')
  expect(await accessibility(page)).toEqual([])
  await page.goto(central.url + '/')
  await page.waitForLoadState('networkidle')
  await shot(page, 'overview-zh-dark')
  expect(await accessibility(page)).toEqual([])
  await page.setViewportSize({ width: 390, height: 844 })
  for (const path of ['', 'policies', 'policies/no%20criticals', 'policies/no%20criticals/edit', 'events', 'audit', 'profile']) {
    await page.goto(`${central.url}/${path}`)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.waitForLoadState('networkidle')
    await shot(page, 'phone-' + (path.replaceAll('/', '-') || 'overview'))
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  }
})

test('nothing breaks the content security policy or leaves for another host', () => {
  expect(complaints).toEqual([])
})
