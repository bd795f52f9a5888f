import { useQuery } from '@tanstack/react-query'
import { Select, type SelectProps } from 'antd'
import { useDeferredValue, useState } from 'react'
import { useText } from '../text'
import { offersOf } from './offers'

export interface Suggestions {
  // Names the search in the cache.
  key: string
  // Whether a text is worth a search.
  worth: (text: string) => boolean
  find: (text: string) => Promise<string[]>
}

type Props = Pick<SelectProps<string[]>, 'id' | 'aria-label' | 'placeholder' | 'tokenSeparators' | 'tagRender' | 'style' | 'allowClear'> & {
  suggestions: Suggestions
  // How the typed text is offered as it stands.
  asTyped: (text: string) => string
  value: string[]
  onChange: (chosen: string[]) => void
}

// SuggestSelect picks any of what a search finds, and takes other texts too.
export function SuggestSelect({ suggestions, asTyped, value, onChange, ...props }: Props) {
  const { t } = useText()
  const [open, setOpen] = useState(false)
  const [typed, setTyped] = useState('')
  const search = useDeferredValue(typed)
  const worth = suggestions.worth(typed)
  const query = useQuery({ queryKey: ['suggestions', suggestions.key, search], queryFn: () => suggestions.find(search), enabled: open && suggestions.worth(search) })
  const searching = open && worth && (search !== typed || query.isPending)
  const found = searching ? undefined : ((worth && query.data) || [])
  const offers = offersOf(found, value, typed)
  const options = offers.map((name) => ({ value: name, label: name === typed && !found?.includes(name) ? asTyped(name) : name, disabled: false }))
  // Otherwise the select puts the typed text first itself.
  if (typed && !offers.includes(typed)) options.push({ value: typed, label: typed, disabled: true })
  return (
    <Select
      {...props}
      mode="tags"
      showSearch={{ searchValue: typed, onSearch: setTyped, filterOption: (_, option) => offers.includes(String(option?.value)) }}
      notFoundContent={searching ? t('shared.searching') : null}
      value={value}
      options={options}
      onOpenChange={setOpen}
      onChange={(chosen: string[]) => {
        setTyped('')
        onChange([...new Set(chosen.map((item) => item.trim()).filter(Boolean))])
      }}
    />
  )
}
