import type { Texts } from '../text/texts'

export const sessionTexts = {
  'session.title': ['Log in to Portcullis', '登录 Portcullis'],
  'session.name': ['Name', '用户名'],
  'session.password': ['Password', '密码'],
  'session.login': ['Log in', '登录'],
  'session.or': ['or', '或'],
  'session.oidc': ['Log in with {{name}}', '使用 {{name}} 登录'],
  'session.sso': ['single sign-on', '单点登录'],
  'session.wrong': ['Name or password is wrong.', '用户名或密码错误。'],
  'session.slow': ['Too many attempts. Wait a while and try again.', '尝试次数过多，请稍后再试。'],
  'session.expired': ['Your session has ended', '登录已过期'],
  'session.expiredHint': [
    'Log in again to go on. What you have entered on this page stays.',
    '请重新登录以继续，本页已填写的内容会保留。',
  ],
  'session.otherUser': ['Log in as {{name}}, or reload the page to change the user.', '请以 {{name}} 登录；如需切换用户，请刷新页面。'],
  'session.choose': ['Choose a password of your own', '请设置您自己的密码'],
  'session.chooseHint': [
    'The password that you logged in with was given to you by somebody else.',
    '您登录所用的密码由他人提供。',
  ],
  'session.old': ['Password so far', '当前密码'],
  'session.new': ['New password', '新密码'],
  'session.newHint': ['12 to 128 characters, at least 6 different ones, without your name.', '12 至 128 个字符，至少 6 个不同字符，不能包含用户名。'],
  'session.repeat': ['New password again', '再次输入新密码'],
  'session.differs': ['The two new passwords differ.', '两次输入的新密码不一致。'],
  'session.required': ['Enter something here.', '请填写此项。'],
  'session.change': ['Change password', '修改密码'],
  'session.done': ['You are logged in. This window can be closed.', '登录成功，可以关闭此窗口。'],
} as const satisfies Texts
