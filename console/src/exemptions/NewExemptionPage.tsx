import { useSearchParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { CreateDocument } from '../documents/CreateDocument'
import { useSession } from '../session/session'
import { Needs } from '../shared/states'
import { useText } from '../text'
import { ExemptionFields } from './ExemptionFields'
import { exemptionURL } from './links'
import { prefill } from './prefill'

export function NewExemptionPage() {
  const { t } = useText()
  const { user } = useSession()
  const [params] = useSearchParams()
  return (
    <Needs role={Role.EDITOR}>
      <CreateDocument
        key={params.toString()}
        title={t('exemptions.new')}
        created={t('exemptions.created')}
        initial={prefill(params, user.name)}
        queryKey="policies"
        create={async (document) => exemptionURL((await central.policies.createExemption({ document })).exemption!.name)}
      >
        {() => <ExemptionFields fixedName={false} />}
      </CreateDocument>
    </Needs>
  )
}
