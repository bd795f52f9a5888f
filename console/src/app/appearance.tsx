import { createContext, type ReactNode, use, useEffect, useState, useSyncExternalStore } from 'react'

export type Choice = 'light' | 'dark' | 'system'

const stored = 'portcullis.appearance'
const system = window.matchMedia('(prefers-color-scheme: dark)')

function subscribe(changed: () => void) {
  system.addEventListener('change', changed)
  return () => system.removeEventListener('change', changed)
}

interface Value {
  choice: Choice
  dark: boolean
  choose: (choice: Choice) => void
}

const Context = createContext<Value | undefined>(undefined)

function initial(): Choice {
  const choice = localStorage.getItem(stored)
  return choice === 'light' || choice === 'dark' ? choice : 'system'
}

export function Appearance({ children }: { children: ReactNode }) {
  const [choice, setChoice] = useState(initial)
  const systemDark = useSyncExternalStore(subscribe, () => system.matches)
  const dark = choice === 'dark' || (choice === 'system' && systemDark)
  useEffect(() => {
    document.documentElement.style.colorScheme = dark ? 'dark' : 'light'
    document.body.style.margin = '0'
    document.body.style.background = dark ? '#000' : '#f5f5f5'
  }, [dark])
  const choose = (next: Choice) => {
    localStorage.setItem(stored, next)
    setChoice(next)
  }
  return <Context value={{ choice, dark, choose }}>{children}</Context>
}

export function useAppearance() {
  const value = use(Context)
  if (!value) throw new Error('useAppearance outside Appearance')
  return value
}
