import type { Texts } from '../text/texts'

export const tokenTexts = {
  'tokens.title': ['API tokens', 'API 令牌'],
  'tokens.hint': ['For programs that call the API on your behalf.', '供程序以您的身份调用 API。'],
  'tokens.new': ['New token', '新建令牌'],
  'tokens.description': ['Description', '描述'],
  'tokens.descriptionHint': ['What will use it, so that you know later which one to delete.', '说明用途，便于日后辨认。'],
  'tokens.role': ['Role', '角色'],
  'tokens.user': ['User', '用户'],
  'tokens.days': ['Valid for', '有效期'],
  'tokens.daysOf_one': ['{{count}} day', '{{count}} 天'],
  'tokens.daysOf_other': ['{{count}} days', '{{count}} 天'],
  'tokens.createTime': ['Created', '创建时间'],
  'tokens.expires': ['Expires', '到期时间'],
  'tokens.expired': ['Expired', '已到期'],
  'tokens.lastUse': ['Last use', '上次使用'],
  'tokens.all': ['Of all users', '所有用户的令牌'],
  'tokens.secret': ['Your new token', '新令牌'],
  'tokens.secretHint': ['Send it as the header Authorization: Bearer.', '请求时放入 Authorization: Bearer 请求头。'],
  'tokens.deleteAsk': ['Delete the token {{name}}?', '删除令牌 {{name}}？'],
  'tokens.deleteHint': ['What uses it is refused at once.', '使用该令牌的程序将立即无法访问。'],
} as const satisfies Texts
