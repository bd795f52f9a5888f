import { Card, Flex, Typography } from 'antd'
import type { ReactNode } from 'react'
import { useTitle } from '../shared/useTitle'

// Gatehouse is the page before one is let in.
export function Gatehouse({ title, children }: { title: string; children?: ReactNode }) {
  useTitle(title)
  return (
    <Flex component="main" align="center" justify="center" style={{ minHeight: '100vh', padding: 16 }}>
      <Card style={{ width: 400, maxWidth: '100%' }}>
        <Flex vertical align="center" gap={8} style={{ marginBottom: 16 }}>
          <img src="/icon.svg" alt="" width={48} height={48} />
          <Typography.Title level={1} style={{ fontSize: 22, margin: 0, textAlign: 'center' }}>
            {title}
          </Typography.Title>
        </Flex>
        {children}
      </Card>
    </Flex>
  )
}
