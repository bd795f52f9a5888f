import { Flex, Typography } from 'antd'
import { type ReactNode, useEffect, useRef } from 'react'
import { useLocation } from 'react-router'
import { useTitle } from './useTitle'

// fromMenu is the state of a navigation by the menu.
export const fromMenu = { menu: true }

// useFocus gives the heading the keyboard's focus after a choice in the menu, so that a screen reader says
// where one is and Tab goes on from there.
function useFocus() {
  const heading = useRef<HTMLHeadingElement>(null)
  const { state, key } = useLocation() as { state: Partial<typeof fromMenu> | null; key: string }
  useEffect(() => {
    if (state?.menu) heading.current?.focus({ preventScroll: true })
  }, [state, key])
  return heading
}

// PageHead is a page's title with what can be done there.
export function PageHead({ title, children }: { title: string; children?: ReactNode }) {
  const heading = useFocus()
  useTitle(title)
  return (
    <Flex justify="space-between" align="center" gap={16} wrap style={{ marginBottom: 16 }}>
      <Typography.Title level={1} ref={heading} tabIndex={-1} style={{ fontSize: 24, margin: 0, overflowWrap: 'anywhere' }}>
        {title}
      </Typography.Title>
      <Flex gap={8} wrap>
        {children}
      </Flex>
    </Flex>
  )
}
