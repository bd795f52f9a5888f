import { Code, ConnectError } from '@connectrpc/connect'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { App as AntApp, ConfigProvider } from 'antd'
import chinese from 'antd/locale/zh_CN'
import english from 'antd/locale/en_US'
import { RouterProvider } from 'react-router'
import { useText } from '../text'
import { Appearance, useAppearance } from './appearance'
import { router } from './router'
import { themeOf } from './theme'

// What central refused it refuses again; only a central that is away is asked a second time.
function retry(failures: number, error: Error) {
  return failures < 2 && ConnectError.from(error).code === Code.Unavailable
}

const queries = new QueryClient({ defaultOptions: { queries: { retry, staleTime: 5_000 } } })

function Themed() {
  const { dark } = useAppearance()
  const { language } = useText()
  return (
    <ConfigProvider theme={themeOf(dark)} locale={language === 'zh' ? chinese : english} button={{ autoInsertSpace: false }}>
      <AntApp>
        <RouterProvider router={router} />
      </AntApp>
    </ConfigProvider>
  )
}

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <Appearance>
        <Themed />
      </Appearance>
    </QueryClientProvider>
  )
}
