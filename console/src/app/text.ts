import type { Texts } from '../text/texts'

export const appTexts = {
  'app.skip': ['Skip to the content', '跳到正文'],
  'app.menu': ['Menu', '菜单'],
  'app.language': ['Language', '语言'],
  'app.theme': ['Appearance', '外观'],
  'app.theme.light': ['Light', '浅色'],
  'app.theme.dark': ['Dark', '深色'],
  'app.theme.system': ['As the system', '跟随系统'],
  'app.account': ['Account', '账户'],
  'app.logout': ['Log out', '退出登录'],
  'app.version': ['Version {{version}}', '版本 {{version}}'],
  'app.overview': ['Overview', '概览'],
  'app.policies': ['Policies', '镜像拦截策略'],
  'app.lost': ['There is no such page.', '页面不存在。'],
  'app.outdated': ['This page could not be loaded. Central may have been upgraded: reload.', '页面加载失败，可能是服务已升级，请刷新。'],
  'app.reload': ['Reload', '刷新'],
} as const satisfies Texts
