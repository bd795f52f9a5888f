import type { ReactNode } from 'react'

// Wide is around a table without links or buttons that may be wider than the page: by keyboard it can be
// scrolled only if it can have the focus.
export function Wide({ label, children }: { label: string; children: ReactNode }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- see above
    <section aria-label={label} tabIndex={0} style={{ overflowX: 'auto' }}>
      <div style={{ minWidth: 'max-content' }}>{children}</div>
    </section>
  )
}
