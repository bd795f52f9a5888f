import type { Texts } from '../text/texts'

export const documentTexts = {
  'documents.edit': ['Edit {{name}}', '编辑 {{name}}'],
  'documents.document': ['YAML', 'YAML'],
  'documents.broken': ['The YAML has a mistake, so the form waits until it is mended.', 'YAML 存在错误，修正后表单将恢复。'],
  'documents.brokenLine': ['Line {{line}}: {{message}}', '第 {{line}} 行：{{message}}'],
  'documents.conflictHint': ['{{name}} saved another revision while you were editing. Nothing of yours is lost yet.', '在您编辑期间，{{name}} 保存了新版本，您的修改尚未丢失。'],
  'documents.imagesHint': ['Search scanned images, or enter a pattern such as registry.example.com/team/**', '搜索已扫描的镜像，或输入匹配规则，如 registry.example.com/team/**'],
  'documents.pattern': ['Pattern: {{pattern}}', '匹配规则：{{pattern}}'],
  'documents.selects_one': ['{{count}} known image', '{{count}} 个已知镜像'],
  'documents.selects_other': ['{{count}} known images', '{{count}} 个已知镜像'],
  'documents.selectsAtLeast_one': ['{{count}} known image or more', '至少 {{count}} 个已知镜像'],
  'documents.selectsAtLeast_other': ['{{count}} known images or more', '至少 {{count}} 个已知镜像'],
  'documents.selectsNone': ['no known image', '无已知镜像'],
} as const satisfies Texts
