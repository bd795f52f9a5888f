import { env } from 'node:process'
import type { Page } from 'playwright-core'

function given(name: string) {
  const value = env[name]
  if (!value) throw new Error(`${name} is not set; run make console-browser, which starts a central and a node`)
  return value
}

// The central and the node that e2e/consolelab has started.
export const url = given('PORTCULLIS_URL')
export const password = given('PORTCULLIS_PASSWORD')

export interface Wanted {
  image: 'shop/web' | 'shop/cart' | 'tools/agent' | 'shop/billing' | 'tools/debug'
  pod: string
  namespace: string
  container?: string
  privileged?: boolean
  capabilities?: string[]
}

// start starts a container on the node as a kubelet would, and returns what refused it.
export async function start(wanted: Wanted) {
  const answer = await fetch(given('PORTCULLIS_NODE') + '/containers', { method: 'POST', body: JSON.stringify({ container: 'main', ...wanted }) })
  if (!answer.ok) throw new Error(await answer.text())
  return ((await answer.json()) as { message: string }).message
}

export async function login(page: Page) {
  await page.goto(url)
  await page.getByLabel('Name').fill('admin')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in', exact: true }).click()
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor()
}
