import type { Texts } from '../text/texts'

export const auditTexts = {
  'app.audit': ['Audit log', '审计日志'],
  'audit.time': ['Time', '时间'],
  'audit.actor': ['Who', '操作者'],
  'audit.address': ['From', '来源地址'],
  'audit.method': ['Did', '操作'],
  'audit.kind': ['Kind', '对象类型'],
  'audit.name': ['Object', '对象'],
} as const satisfies Texts
