import { theme, type ThemeConfig } from 'antd'

// Text of coloured tags is a shade of these; what is pointed at has to be readable, too.
const darker = { colorPrimaryHover: '#003eb3', gold: '#d48806', orange: '#d46b08', volcano: '#d4380d', green: '#389e0d', blue: '#0958d9' }

// Ant Design's own blue, the bright tags, placeholder and secondary text are below the contrast that WCAG AA asks for.
export function themeOf(dark: boolean): ThemeConfig {
  return {
    algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
    cssVar: { key: 'portcullis' },
    token: {
      colorPrimary: '#0958d9',
      colorInfo: '#0958d9',
      colorLink: dark ? '#69b1ff' : '#0958d9',
      colorLinkHover: dark ? '#91caff' : '#003eb3',
      colorError: dark ? '#ff7875' : '#cf1322',
      colorTextTertiary: dark ? 'rgba(255,255,255,0.65)' : 'rgba(0,0,0,0.62)',
      colorTextDescription: dark ? 'rgba(255,255,255,0.65)' : 'rgba(0,0,0,0.62)',
      colorTextPlaceholder: dark ? 'rgba(255,255,255,0.6)' : 'rgba(0,0,0,0.58)',
      borderRadius: 6,
      ...(dark ? {} : darker),
    },
    components: {
      Layout: { siderBg: dark ? '#141414' : '#ffffff', headerBg: dark ? '#141414' : '#ffffff', headerPadding: '0 16px' },
      Menu: { itemSelectedColor: dark ? '#91caff' : '#0958d9' },
    },
  }
}
