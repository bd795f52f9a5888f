import { theme, type ThemeConfig } from 'antd'

// The text of tags, under both names that Ant Design has for one variable.
const tagText = { gold7: '#874d00', 'gold-7': '#874d00', green7: '#237804', 'green-7': '#237804', volcano7: '#ad2102', 'volcano-7': '#ad2102' }

// Ant Design's own blue, tags, placeholder and secondary text are below the contrast that WCAG AA asks for.
export function themeOf(dark: boolean): ThemeConfig {
  return {
    algorithm: dark ? theme.darkAlgorithm : theme.defaultAlgorithm,
    cssVar: { key: 'portcullis' },
    token: {
      // The text of tags of these colours.
      ...(dark ? {} : { green7: '#237804', 'green-7': '#237804', gold7: '#874d00', 'gold-7': '#874d00', volcano7: '#ad2102', 'volcano-7': '#ad2102' }),
      colorPrimary: '#0958d9',
      colorInfo: '#0958d9',
      colorLink: dark ? '#69b1ff' : '#0958d9',
      colorLinkHover: dark ? '#91caff' : '#003eb3',
      colorError: dark ? '#ff7875' : '#cf1322',
      colorTextTertiary: dark ? 'rgba(255,255,255,0.65)' : 'rgba(0,0,0,0.62)',
      colorTextDescription: dark ? 'rgba(255,255,255,0.65)' : 'rgba(0,0,0,0.62)',
      colorTextPlaceholder: dark ? 'rgba(255,255,255,0.6)' : 'rgba(0,0,0,0.58)',
      ...(dark ? {} : tagText),
      borderRadius: 6,
    },
    components: {
      // A primary button that is pointed at gets lighter otherwise, and its text too faint.
      Button: { colorPrimaryHover: '#003eb3', defaultHoverColor: dark ? '#91caff' : '#003eb3', defaultHoverBorderColor: dark ? '#91caff' : '#003eb3' },
      Layout: { siderBg: dark ? '#141414' : '#ffffff', headerBg: dark ? '#141414' : '#ffffff', headerPadding: '0 16px' },
      Menu: { itemSelectedColor: dark ? '#91caff' : '#0958d9' },
    },
  }
}
