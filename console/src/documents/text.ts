import type { Texts } from '../text/texts'

export const documentTexts = {
  'documents.edit': ['Edit {{name}}', '编辑 {{name}}'],
  'documents.document': ['YAML', 'YAML'],
  'documents.broken': ['The YAML has a mistake, so the form waits until it is mended.', 'YAML 存在错误，修正后表单将恢复。'],
  'documents.brokenLine': ['Line {{line}}: {{message}}', '第 {{line}} 行：{{message}}'],
  'documents.conflictHint': ['{{name}} saved another revision while you were editing. Nothing of yours is lost yet.', '在您编辑期间，{{name}} 保存了新版本，您的修改尚未丢失。'],
  'documents.imagesHint': ['Search scanned images, or enter a pattern such as registry.example.com/team/**', '搜索已扫描的镜像，或输入匹配规则，如 registry.example.com/team/**'],
} as const satisfies Texts
