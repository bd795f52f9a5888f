import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessibility, complaints, launch, open, settled, shot, writeYAML } from '../browser/chromium'
import { Central, firstLogin, password } from './central'
import { Node } from './node'
import { scanned, unscanned, verdict } from './verdict'

const firstLoad = 500 * 1024

let central: Central
let browser: Browser
let page: Page
const nodes: Node[] = []

beforeAll(async () => {
  central = await Central.start()
  browser = await launch()
  page = await open(browser, [central.url])
})

afterAll(async () => {
  await browser?.close()
  for (const node of nodes) node.end()
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

  await firstLogin(page, 'admin', await central.password)
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
  await page.getByText('It would stop nothing that is known').waitFor()
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
  await writeYAML(page, (text) => text.replace(/ *weeks: 2\n/, '').replace('enabled: false', 'enabled: true'))
  const other = await page.context().newPage()
  await other.goto(central.url + '/policies')
  await other.getByRole('switch', { name: 'Switch no criticals on or off' }).click()
  await other.getByRole('button', { name: 'Switch on' }).click()
  await other.getByText('Observing until').waitFor()
  await other.close()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog', { name: 'Somebody else changed no criticals' }).waitFor()
  await shot(page, 'policy-conflict')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Save mine in its place' }).click()
  await page.getByText('Saved.').waitFor()
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

test('nodes join by a token that is shown once, and tell how they are', async () => {
  await page.goto(central.url + '/nodes/join')
  await page.getByLabel('Description').fill('rack 1')
  await page.getByLabel('Nodes that may join with it').fill('4')
  await page.getByRole('button', { name: 'Create the token' }).click()
  const command = await page.getByText('| portcullisd join').textContent()
  const token = /'(pcj_[^']+)'/.exec(command ?? '')?.[1]
  expect(command).toBe(`printf '%s' '${token}' | portcullisd join --central ${central.url.replace('localhost', '127.0.0.1')} --token-file -`)
  await page.getByRole('cell', { name: 'rack 1', exact: true }).waitFor()
  await shot(page, 'nodes-join-en-light')
  expect(await accessibility(page)).toEqual([])

  for (const name of ['worker-1', 'worker-2', 'worker-3']) nodes.push(new Node(central.url, name, token!))
  const [good, picky] = nodes as [Node, Node, Node]
  const bundle = await good.connect()
  await good.reportState({ bundle })
  await good.reportImages(
    { id: scanned, tags: ['registry.example.com/shop/cart:1.2', 'registry.example.com/shop/cart:stable'], digests: ['registry.example.com/shop/cart@sha256:' + 'c3'.repeat(32)] },
    { id: unscanned, tags: ['docker.io/library/a-very-long-name-of-an-image/with-many-parts/that-goes-on:2026-11-23'] },
  )
  await picky.connect()
  await picky.reportState({ bundle: bundle - 1, rejectedBundle: bundle, rejection: 'policy "no criticals": spec.risk.vulnerabilities.labels: "brand-new" is not known to this version' })
  await picky.reportImages({ id: scanned, tags: ['registry.example.com/shop/cart:1.2'] })

  await page.getByRole('button', { name: 'Delete the token rack 1' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('There is no token that can still be used').waitFor()
})

test('nodes are listed, told in full, and removed', async () => {
  await page.goto(central.url + '/')
  await page.getByRole('link', { name: '1 node could not use the newest bundle' }).click()
  await page.getByRole('link', { name: 'worker-2' }).waitFor()
  expect(await page.getByRole('link', { name: 'worker-1' }).count()).toBe(0)
  await page.goto(central.url + '/nodes')
  await page.getByRole('cell', { name: 'In force' }).waitFor()
  await shot(page, 'nodes-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('link', { name: 'worker-2' }).click()
  await page.getByRole('alert').getByText('is not known to this version').waitFor()
  await shot(page, 'node-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.goto(central.url + '/nodes?state=silent')
  await page.getByRole('link', { name: 'worker-3' }).click()
  await page.getByRole('button', { name: 'Remove' }).click()
  const dialog = page.getByRole('dialog', { name: 'Remove worker-3?' })
  await dialog.getByText('It can come back only by joining anew').waitFor()
  await shot(page, 'node-remove')
  expect(await accessibility(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Remove' }).click()
  await page.getByRole('link', { name: 'worker-1' }).waitFor()
  await page.getByRole('link', { name: 'worker-3' }).waitFor({ state: 'hidden' })
})

test('a report is uploaded, and one that cannot be read is refused with the reason', async () => {
  await page.goto(central.url + '/images')
  await page.getByRole('link', { name: 'registry.example.com/shop/cart:1.2' }).waitFor()
  await page.getByRole('button', { name: 'Upload a report' }).click()
  const file = (name: string, text: string) => ({ name, mimeType: 'application/json', buffer: Buffer.from(text) })
  await page.locator('input[type=file]').setInputFiles([file('cart.json', JSON.stringify(verdict)), file('broken.json', '{"SchemaVersion": 2, "Results": [')])
  await page.getByText('cart.json is uploaded').waitFor()
  await page.getByText('broken.json was not taken').waitFor()
  await shot(page, 'image-upload')
  expect(await accessibility(page)).toEqual([])
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await page.getByRole('cell', { name: 'Critical' }).waitFor()
  await shot(page, 'images-en-light')
  expect(await accessibility(page)).toEqual([])
})

test('an image is told with its findings and with what would happen', async () => {
  await page.goto(central.url + '/images?scan=partial&severity=Critical&node=worker-1')
  await page.getByRole('link', { name: 'registry.example.com/shop/cart:1.2' }).click()
  await page.getByText('It would start, with an alert').waitFor()
  await page.getByText('CVE-2021-44228').first().waitFor()
  await shot(page, 'image-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.goto(`${central.url}/images/${encodeURIComponent(scanned)}?kind=malware&kind=secrets`)
  await page.getByRole('cell', { name: 'Private key' }).waitFor()
  expect(await page.getByRole('cell', { name: 'CVE-' }).count()).toBe(0)
  await page.getByLabel('CVE, package, path, hash').fill('44D88612')
  await page.keyboard.press('Enter')
  await page.getByRole('cell', { name: 'Private key' }).waitFor({ state: 'hidden' })
  await page.getByRole('cell', { name: 'Miner' }).first().waitFor()
  expect(page.url()).toContain('text=44D88612')
  await page.getByRole('link', { name: 'worker-1' }).click()
  await page.getByRole('heading', { name: 'Nodes', level: 1 }).waitFor()
})

test('a report that is deleted leaves the image unscanned', async () => {
  await page.goto(`${central.url}/images/${encodeURIComponent(scanned)}`)
  await page.getByRole('button', { name: 'Delete the report verdict of' }).click()
  await page.getByRole('dialog').getByText('is forgotten on every node').waitFor()
  await shot(page, 'image-report-delete')
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('Nobody has scanned this image').waitFor()
  await shot(page, 'image-unscanned-en-light')
  expect(await accessibility(page)).toEqual([])
  const again = await page.request.post(central.url + '/api/v1/reports', { data: verdict })
  expect(again.status()).toBe(200)
})

test('an exemption begins as a link says, and its mistakes are told at their fields', async () => {
  const query = new URLSearchParams({ policy: 'no criticals', image: 'registry.example.com/shop/cart:1.2', finding: 'CVE-2021-44228', expires: '2026-11-26T00:00:00Z' })
  await page.goto(`${central.url}/exemptions/new?${query.toString()}`)
  await page.getByRole('textbox', { name: 'YAML' }).getByText('CVE-2021-44228').waitFor()
  await page.getByRole('button', { name: /Create$/ }).click()
  await page.locator('.ant-form-item-explain').getByText('write why this exception is acceptable').waitFor()
  await shot(page, 'exemption-mistake')
  expect(await accessibility(page)).toEqual([])
  await page.getByLabel('Name', { exact: true }).fill('cart is not reachable')
  await page.getByRole('textbox', { name: 'Reason' }).fill('reviewed in SEC-1234')
  await page.getByRole('button', { name: 'In 7 days' }).click()
  await page.getByRole('button', { name: /Create$/ }).click()
  await page.getByRole('heading', { name: 'cart is not reachable', level: 1 }).waitFor()
  await shot(page, 'exemption-en-light')
  expect(await accessibility(page)).toEqual([])
  await page.goto(central.url + '/exemptions?state=expired')
  await page.getByText('Nothing matches the filter').waitFor()
  await page.goto(central.url + '/exemptions?state=expiring&search=sec-1234')
  await page.getByRole('link', { name: 'cart is not reachable' }).waitFor()
  await shot(page, 'exemptions-en-light')
  expect(await accessibility(page)).toEqual([])
})

test('a user is made with a password for once, and a viewer cannot change anything', async () => {
  await page.goto(central.url + '/users')
  expect(await page.getByRole('button', { name: 'Delete: admin' }).isDisabled()).toBe(true)
  await page.getByRole('button', { name: 'New user' }).click()
  await page.getByLabel('Name', { exact: true }).fill('no name')
  await page.getByRole('button', { name: /Create$/ }).click()
  await page.locator('.ant-form-item-explain').getByText('is not a login name').waitFor()
  await shot(page, 'user-new')
  expect(await accessibility(page)).toEqual([])
  await page.getByLabel('Name', { exact: true }).fill('bob')
  await page.getByRole('button', { name: /Create$/ }).click()
  const secret = page.getByRole('dialog', { name: 'One-time password of bob' })
  const once = await secret.locator('code').innerText()
  await shot(page, 'user-password')
  expect(await accessibility(page)).toEqual([])
  await secret.getByRole('button', { name: 'Close' }).click()
  await page.getByRole('button', { name: 'Edit: bob' }).waitFor()
  await shot(page, 'users-en-light')
  expect(await accessibility(page)).toEqual([])

  const other = await (await browser.newContext({ ignoreHTTPSErrors: true, locale: 'en-US' })).newPage()
  await other.goto(central.url + '/exemptions')
  await firstLogin(other, 'bob', once)
  await other.getByRole('link', { name: 'cart is not reachable' }).waitFor()
  expect(await other.getByRole('button', { name: 'New exemption' }).count()).toBe(0)
  expect(await other.getByRole('button', { name: /^Delete/ }).count()).toBe(0)
  expect(await other.getByRole('menuitem', { name: 'Users' }).count()).toBe(0)
  for (const path of ['users', 'notifications', 'exemptions/new']) {
    await other.goto(`${central.url}/${path}`)
    await other.getByText('You may not see this').waitFor()
  }
  await other.context().close()

  await page.getByRole('button', { name: 'Reset password: bob' }).click()
  await page.getByRole('button', { name: 'Reset password', exact: true }).click()
  expect(await secret.locator('code').innerText()).not.toBe(once)
  await secret.getByRole('button', { name: 'Close' }).click()
  await page.getByRole('button', { name: 'Edit: bob' }).click()
  await page.getByRole('radio', { name: 'Editor' }).check()
  await page.getByRole('switch', { name: 'May log in' }).click()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('row', { name: /bob Editor Password Disabled/ }).waitFor()
})

test('an API token is shown once, and listed and deleted', async () => {
  await page.goto(central.url + '/profile')
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByLabel('Description').fill('nightly export')
  await page.getByRole('button', { name: /Create$/ }).click()
  const secret = page.getByRole('dialog', { name: 'Your new token' })
  const token = await secret.locator('code').innerText()
  await secret.getByRole('button', { name: 'Close' }).click()
  const answer = await page.request.post(central.url + '/portcullis.v1.PolicyService/ListPolicies', { data: {}, headers: { Authorization: `Bearer ${token}` } })
  expect(answer.status()).toBe(200)
  await page.getByRole('switch', { name: 'Of all users' }).click()
  await page.getByRole('cell', { name: 'admin', exact: true }).waitFor()
  await shot(page, 'profile-tokens')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Delete: nightly export' }).click()
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('cell', { name: 'nightly export', exact: true }).waitFor({ state: 'hidden' })
})

test('a channel is made and tested, and two editors of it do not overwrite each other', async () => {
  await page.goto(central.url + '/notifications')
  await page.getByText('Nobody is told of events yet.').waitFor()
  await page.getByRole('button', { name: 'New channel' }).click()
  await page.getByLabel('Name', { exact: true }).fill('on call')
  await page.getByLabel('URL').fill('http://user@example.com/hook')
  await page.getByLabel('From').fill('20:00')
  await page.getByRole('button', { name: /Create$/ }).click()
  await page.locator('.ant-form-item-explain').getByText('write https://').waitFor()
  await page.locator('.ant-form-item-explain').getByText('are needed together').waitFor()
  await shot(page, 'channel-mistake')
  expect(await accessibility(page)).toEqual([])
  await page.getByLabel('URL').fill('https://localhost:1/hook')
  await page.getByLabel('To', { exact: true }).fill('08:00')
  await page.getByRole('button', { name: /Create$/ }).click()
  await page.getByRole('button', { name: 'Test: on call' }).click()
  await page.getByRole('dialog', { name: 'The test notification did not arrive' }).waitFor()
  await shot(page, 'channel-test')
  expect(await accessibility(page)).toEqual([])
  await page.keyboard.press('Escape')

  await page.getByRole('link', { name: 'on call' }).click()
  await page.getByLabel('Secret').fill('sixteen bytes or more')
  const other = await page.context().newPage()
  await other.goto(central.url + '/notifications')
  await other.getByRole('switch', { name: 'Switch on call on or off' }).click()
  await other.getByRole('switch', { name: 'Switch on call on or off', checked: false }).waitFor()
  await other.close()
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('dialog', { name: 'Somebody else changed on call' }).waitFor()
  await shot(page, 'channel-conflict')
  expect(await accessibility(page)).toEqual([])
  await page.getByRole('button', { name: 'Save mine in its place' }).click()
  await page.getByRole('switch', { name: 'Switch on call on or off', checked: true }).waitFor()
  await shot(page, 'notifications-en-light')
  expect(await accessibility(page)).toEqual([])
})

test('every page is shown in both languages and themes, and on a phone', async () => {
  await page.goto(central.url + '/')
  await settled(page)
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
  await settled(page)
  await shot(page, 'overview-zh-dark')
  expect(await accessibility(page)).toEqual([])
  const image = `images/${encodeURIComponent(scanned)}`
  const paths = ['', 'policies', 'policies/no%20criticals', 'policies/no%20criticals/edit', 'events', image, 'images', 'nodes', 'nodes/join', 'exemptions', 'exemptions/new', 'users', 'notifications', 'notifications/on%20call', 'audit', 'profile']
  for (const path of paths.slice(1)) {
    await page.goto(`${central.url}/${path}`)
    await settled(page)
    await shot(page, `${path.replaceAll(/[/%]/g, '-').slice(0, 20)}-zh-dark`)
    expect(await accessibility(page)).toEqual([])
  }
  await page.setViewportSize({ width: 390, height: 844 })
  for (const path of paths) {
    await page.goto(`${central.url}/${path}`)
    await settled(page)
    await shot(page, 'phone-' + (path.replaceAll(/[/%]/g, '-').slice(0, 40) || 'overview'))
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
  }
})

test('nothing breaks the content security policy or leaves for another host', () => {
  expect(complaints).toEqual([])
})
