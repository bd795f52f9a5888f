import type { Texts } from '../text/texts'

export const profileTexts = {
  'app.profile': ['Profile', '个人设置'],
  'profile.changed': ['The password is changed. Your other sessions have ended.', '密码已修改，其他会话已退出。'],
  'profile.external': ['You log in with single sign-on and have no password here.', '您使用单点登录，此处无密码。'],
  'profile.role': ['Role', '角色'],
  'profile.lastLogin': ['Last login', '上次登录'],
} as const satisfies Texts
