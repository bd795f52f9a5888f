import type { Texts } from '../text/texts'

export const policyTexts = {} as const satisfies Texts
