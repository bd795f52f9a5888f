import { useQuery } from '@tanstack/react-query'
import { useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { EditDocument } from '../documents/EditDocument'
import { Answer, Needs } from '../shared/states'
import { ExemptionFields } from './ExemptionFields'
import { exemptionURL } from './links'

export function EditExemptionPage() {
  const { name = '' } = useParams()
  const get = () => central.policies.getExemption({ name })
  // Asked once: what is edited does not change under the editor's hands.
  const query = useQuery({ queryKey: ['exemption-to-edit', name], queryFn: get, staleTime: Infinity, gcTime: 0, refetchOnMount: 'always' })
  return (
    <Needs role={Role.EDITOR}>
      <Answer of={query}>
        {({ exemption }) => (
          <EditDocument
            key={name}
            stored={exemption!}
            url={exemptionURL(name)}
            queryKey="policies"
            save={(document, revision) => central.policies.updateExemption({ document, revision })}
            newest={async () => (await get()).exemption}
          >
            {() => <ExemptionFields fixedName />}
          </EditDocument>
        )}
      </Answer>
    </Needs>
  )
}
