import { BulbOutlined, GlobalOutlined, LogoutOutlined, MenuOutlined, UserOutlined } from '@ant-design/icons'
import { Button, Drawer, Dropdown, Flex, Grid, Layout, Menu, Typography } from 'antd'
import { type ReactNode, useState } from 'react'
import { Link, useLocation } from 'react-router'
import { useSession } from '../session/session'
import { fromMenu } from '../shared/PageHead'
import { Stale } from '../shared/Stale'
import { useText, type Language } from '../text'
import { type Choice, useAppearance } from './appearance'
import './frame.css'
import { pages } from './pages'

function Navigation({ onChosen }: { onChosen?: () => void }) {
  const { t } = useText()
  const { may } = useSession()
  const { pathname } = useLocation()
  const items = pages
    .filter((page) => may(page.least))
    .map((page) => ({ key: page.path, icon: page.icon, label: <Link to={page.path} state={fromMenu}>{t(page.title)}</Link> }))
  const current = '/' + (pathname.split('/')[1] ?? '')
  return (
    <nav aria-label={t('app.menu')}>
      <Menu mode="inline" items={items} selectedKeys={[current]} onClick={onChosen} style={{ borderInlineEnd: 0 }} />
    </nav>
  )
}

function LanguageSwitch() {
  const { t, language, setLanguage } = useText()
  const items = [
    { key: 'en', label: 'English', lang: 'en' },
    { key: 'zh', label: '简体中文', lang: 'zh-CN' },
  ]
  return (
    <Dropdown trigger={['click']} menu={{ items, selectable: true, selectedKeys: [language], onClick: ({ key }) => setLanguage(key as Language) }}>
      <Button type="text" icon={<GlobalOutlined />} aria-label={t('app.language')} />
    </Dropdown>
  )
}

function AppearanceSwitch() {
  const { t } = useText()
  const { choice, choose } = useAppearance()
  const items = (['light', 'dark', 'system'] as const).map((key) => ({ key, label: t(`app.theme.${key}`) }))
  return (
    <Dropdown trigger={['click']} menu={{ items, selectable: true, selectedKeys: [choice], onClick: ({ key }) => choose(key as Choice) }}>
      <Button type="text" icon={<BulbOutlined />} aria-label={t('app.theme')} />
    </Dropdown>
  )
}

function Account() {
  const { t, word } = useText()
  const { user, version, logout } = useSession()
  const { md } = Grid.useBreakpoint()
  const items = [
    { key: 'who', disabled: true, label: `${user.name} · ${word('role', String(user.role))}` },
    { key: 'version', disabled: true, label: t('app.version', { version }) },
    { key: 'logout', icon: <LogoutOutlined />, label: t('app.logout'), onClick: () => void logout() },
  ]
  return (
    <Dropdown trigger={['click']} menu={{ items }}>
      <Button type="text" icon={<UserOutlined />} aria-label={md ? undefined : t('app.account')}>
        {md && user.name}
      </Button>
    </Dropdown>
  )
}

// Side is the menu on a phone. It keeps the focus while it is open; after a choice the page's heading has it,
// otherwise the button that opened the menu.
function Side({ open, close }: { open: boolean; close: () => void }) {
  const { t } = useText()
  const [chosen, setChosen] = useState(false)
  const choose = () => {
    setChosen(true)
    close()
  }
  const afterOpenChange = (shown: boolean) => {
    if (!shown && chosen) document.querySelector<HTMLElement>('#content h1')?.focus({ preventScroll: true })
    setChosen(false)
  }
  return (
    <Drawer open={open} onClose={close} afterOpenChange={afterOpenChange} focusable={{ focusTriggerAfterClose: !chosen }} placement="left" size={260} title={t('app.menu')} styles={{ body: { padding: 0 } }}>
      <Navigation onChosen={choose} />
    </Drawer>
  )
}

// Frame is what stands around every page: the menu at the side, or on a phone behind a button.
export function Frame({ children }: { children: ReactNode }) {
  const { t } = useText()
  const { lg } = Grid.useBreakpoint()
  const [open, setOpen] = useState(false)
  return (
    <Layout style={{ minHeight: '100vh' }}>
      <a className="skip" href="#content">
        {t('app.skip')}
      </a>
      <Layout.Header className="bar">
        <Flex align="center" gap={8} style={{ height: '100%' }}>
          {!lg && <Button type="text" icon={<MenuOutlined />} aria-label={t('app.menu')} onClick={() => setOpen(true)} />}
          <img src="/icon.svg" alt="" width={28} height={28} />
          <Typography.Text strong style={{ fontSize: 16 }} translate="no">
            {'Portcullis'}
          </Typography.Text>
          <span style={{ flex: 1 }} />
          <LanguageSwitch />
          <AppearanceSwitch />
          <Account />
        </Flex>
      </Layout.Header>
      <Layout hasSider={lg}>
        {lg && (
          <Layout.Sider width={220} theme="light">
            <Navigation />
          </Layout.Sider>
        )}
        <Side open={open && !lg} close={() => setOpen(false)} />
        <Layout.Content id="content" tabIndex={-1} className="content">
          <Stale />
          {children}
        </Layout.Content>
      </Layout>
    </Layout>
  )
}
