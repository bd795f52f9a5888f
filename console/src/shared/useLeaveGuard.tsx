import { Modal } from 'antd'
import { useEffect, useRef } from 'react'
import { useBlocker } from 'react-router'
import { useText } from '../text'

// useLeaveGuard asks before what was entered is lost by leaving the page.
export function useLeaveGuard(changed: boolean) {
  const { t } = useText()
  const free = useRef(false)
  const blocker = useBlocker(({ currentLocation, nextLocation }) => changed && !free.current && currentLocation.pathname !== nextLocation.pathname)
  useEffect(() => {
    if (!changed) return
    // If the session ends, the dialog is there, even if an upgrade has replaced the files since.
    void import('../session/ExpiredDialog')
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [changed])
  const dialog = (
    <Modal
      open={blocker.state === 'blocked'}
      title={t('shared.leave')}
      okText={t('shared.discard')}
      cancelText={t('shared.stay')}
      okButtonProps={{ danger: true }}
      onOk={() => blocker.proceed?.()}
      onCancel={() => blocker.reset?.()}
    />
  )
  // freely leaves after what was entered is saved.
  const freely = (go: () => unknown) => {
    free.current = true
    go()
  }
  return { dialog, freely }
}
