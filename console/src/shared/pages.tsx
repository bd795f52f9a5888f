import { LeftOutlined, RightOutlined } from '@ant-design/icons'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { Button, Flex, Typography } from 'antd'
import { useState } from 'react'
import { useText } from '../text'

export interface Listed {
  nextPageToken: string
  total?: bigint
}

// usePages asks for one page of a list at a time, each by the token that came with the one before. What
// key holds besides the page begins the list anew.
export function usePages<Answer extends Listed>(key: readonly unknown[], load: (pageToken: string) => Promise<Answer>, refetchInterval?: number) {
  const list = JSON.stringify(key)
  const [position, setPosition] = useState<{ list: string; tokens: string[] }>({ list, tokens: [] })
  const tokens = position.list === list ? position.tokens : []
  const token = tokens.at(-1) ?? ''
  const query = useQuery({ queryKey: [...key, token], queryFn: () => load(token), placeholderData: keepPreviousData, refetchInterval })
  const go = (next: string[]) => setPosition({ list, tokens: next })
  const next = query.data?.nextPageToken
  return {
    query,
    total: query.data?.total,
    previous: tokens.length > 0 ? () => go(tokens.slice(0, -1)) : undefined,
    next: next && !query.isPlaceholderData ? () => go([...tokens, next]) : undefined,
  }
}

export type Pages<Answer extends Listed> = ReturnType<typeof usePages<Answer>>

export function Pager({ total, previous, next }: { total?: bigint; previous?: () => void; next?: () => void }) {
  const { t } = useText()
  return (
    <Flex justify="end" align="center" gap={8} style={{ marginTop: 16 }}>
      {total !== undefined && <Typography.Text type="secondary">{t('shared.total', { count: Number(total) })}</Typography.Text>}
      <Button icon={<LeftOutlined />} aria-label={t('shared.previous')} disabled={!previous} onClick={previous} />
      <Button icon={<RightOutlined />} aria-label={t('shared.next')} disabled={!next} onClick={next} />
    </Flex>
  )
}
