import { appTexts } from '../app/text'
import { auditTexts } from '../audit/text'
import { documentTexts } from '../documents/text'
import { eventTexts } from '../events/text'
import { imageTexts } from '../images/text'
import { nodeTexts } from '../nodes/text'
import { exemptionTexts } from '../exemptions/text'
import { notificationTexts } from '../notifications/text'
import { overviewTexts } from '../overview/text'
import { policyTexts } from '../policies/text'
import { profileTexts } from '../profile/text'
import { sessionTexts } from '../session/text'
import { sharedTexts } from '../shared/text'
import { tokenTexts } from '../tokens/text'
import { userTexts } from '../users/text'
import { words } from './words'

// catalogue is every text of the console. A page adds its own here.
export const catalogue = {
  ...appTexts,
  ...auditTexts,
  ...documentTexts,
  ...eventTexts,
  ...imageTexts,
  ...nodeTexts,
  ...exemptionTexts,
  ...notificationTexts,
  ...overviewTexts,
  ...policyTexts,
  ...profileTexts,
  ...sessionTexts,
  ...sharedTexts,
  ...tokenTexts,
  ...userTexts,
  ...words,
}

type Plural<Key> = Key extends `${infer Stem}_one` ? Stem : Key extends `${infer Stem}_other` ? Stem : Key

// TextKey is what t takes.
export type TextKey = Plural<keyof typeof catalogue>
