import i18next from 'i18next'
import { initReactI18next, useTranslation } from 'react-i18next'
import { catalogue, type TextKey } from './catalogue'

export type { TextKey } from './catalogue'
export type Language = 'en' | 'zh'
export type Translate = (key: TextKey, values?: Record<string, string | number>) => string

const stored = 'portcullis.language'

function initial(): Language {
  const chosen = localStorage.getItem(stored)
  if (chosen === 'en' || chosen === 'zh') return chosen
  return navigator.languages.some((name) => name.toLowerCase().startsWith('zh')) ? 'zh' : 'en'
}

function column(index: 0 | 1) {
  return { text: Object.fromEntries(Object.entries(catalogue).map(([key, both]) => [key, both[index]])) }
}

const tags: Record<Language, string> = { en: 'en', zh: 'zh-CN' }

function apply(language: Language) {
  document.documentElement.lang = tags[language]
}

// initText readies the catalogue; it is called once, before the first render.
export async function initText() {
  await i18next.use(initReactI18next).init({
    lng: initial(),
    fallbackLng: 'en',
    resources: { en: column(0), zh: column(1) },
    defaultNS: 'text',
    keySeparator: false,
    nsSeparator: false,
    interpolation: { escapeValue: false }, // React escapes
    showSupportNotice: false,
  } as Parameters<typeof i18next.init>[0])
  apply(i18next.language as Language)
}

// useText gives the texts in the language that is chosen.
export function useText() {
  const { t, i18n } = useTranslation('text')
  return {
    t: t as unknown as Translate,
    language: i18n.language as Language,
    locale: tags[i18n.language as Language],
    setLanguage(language: Language) {
      localStorage.setItem(stored, language)
      apply(language)
      void i18n.changeLanguage(language)
    },
    // word names an identifier of the API, such as a severity; one that is not known stays as it is.
    word(kind: string, name: string) {
      const key = `${kind}.${name}`
      return key in catalogue ? t(key as never) as string : name
    },
  }
}
