import { SettingOutlined } from '@ant-design/icons'
import { Button, Checkbox, Popover } from 'antd'
import { useState } from 'react'
import { useText } from '../text'
import { type ColumnName, columnNames, useColumnTitle, usual } from './columns'

const stored = 'portcullis.events.columns'

function initial(): ColumnName[] {
  const chosen = (localStorage.getItem(stored) ?? '').split(',')
  const known = columnNames.filter((name) => chosen.includes(name))
  return known.length > 0 ? known : usual
}

// useChosenColumns keeps which columns the reader wants, in this browser.
export function useChosenColumns() {
  const [chosen, setChosen] = useState(initial)
  const choose = (names: ColumnName[]) => {
    localStorage.setItem(stored, names.join())
    setChosen(names)
  }
  return { chosen, choose }
}

export function ColumnChoice({ chosen, choose }: { chosen: ColumnName[]; choose: (names: ColumnName[]) => void }) {
  const { t } = useText()
  const title = useColumnTitle()
  // The way to the details stays.
  const options = columnNames.map((value) => ({ value, label: title(value), disabled: value === 'last' }))
  const content = <Checkbox.Group options={options} value={chosen} onChange={choose} style={{ display: 'grid', gridTemplateColumns: '1fr 1fr', gap: 8 }} />
  return (
    <Popover trigger="click" placement="bottomRight" content={content}>
      <Button icon={<SettingOutlined />}>{t('events.columns')}</Button>
    </Popover>
  )
}
