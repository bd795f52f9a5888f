import { createRoot } from 'react-dom/client'
import { App } from './app/App'
import { initText } from './text'

await initText()
createRoot(document.getElementById('root')!).render(<App />)
