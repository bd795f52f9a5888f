import { appTexts } from '../app/text'
import { auditTexts } from '../audit/text'
import { eventTexts } from '../events/text'
import { imageTexts } from '../images/text'
import { nodeTexts } from '../nodes/text'
import { overviewTexts } from '../overview/text'
import { policyTexts } from '../policies/text'
import { profileTexts } from '../profile/text'
import { sessionTexts } from '../session/text'
import { sharedTexts } from '../shared/text'
import { words } from './words'

// catalogue is every text of the console. A page adds its own here.
export const catalogue = {
  ...appTexts,
  ...auditTexts,
  ...eventTexts,
  ...imageTexts,
  ...nodeTexts,
  ...overviewTexts,
  ...policyTexts,
  ...profileTexts,
  ...sessionTexts,
  ...sharedTexts,
  ...words,
}

type Plural<Key> = Key extends `${infer Stem}_one` ? Stem : Key extends `${infer Stem}_other` ? Stem : Key

// TextKey is what t takes.
export type TextKey = Plural<keyof typeof catalogue>
