import { Tag } from 'antd'
import { useText } from '../text'

const colors: Record<string, string> = { Critical: 'magenta', High: 'volcano', Medium: 'gold', Low: 'blue' }

export function SeverityTag({ severity }: { severity: string }) {
  const { word } = useText()
  return severity ? <Tag color={colors[severity]}>{word('severity', severity)}</Tag> : null
}
