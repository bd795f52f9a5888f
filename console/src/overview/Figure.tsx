import { Flex, theme } from 'antd'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import { useText } from '../text'

export function Figures({ children }: { children: ReactNode }) {
  return (
    <Flex gap="16px 40px" wrap>
      {children}
    </Flex>
  )
}

interface Props {
  label: string
  value: bigint
  // The list that it counts.
  to: string
  // Of a figure that should be 0.
  tone?: 'danger' | 'warning'
}

export function Figure({ label, value, to, tone }: Props) {
  const { locale } = useText()
  const { token } = theme.useToken()
  const colors = { danger: token.colorError, warning: token.colorWarningText }
  const color = tone && value > 0n ? colors[tone] : token.colorText
  return (
    <Link to={to} style={{ color: token.colorText }}>
      <div style={{ color: token.colorTextDescription }}>{label}</div>
      <div style={{ fontSize: 28, lineHeight: 1.3, color, fontVariantNumeric: 'tabular-nums' }}>{value.toLocaleString(locale)}</div>
    </Link>
  )
}
