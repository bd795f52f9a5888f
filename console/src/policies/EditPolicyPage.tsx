import { useQuery } from '@tanstack/react-query'
import { useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import { central } from '../central'
import { EditDocument } from '../documents/EditDocument'
import { Answer, Needs } from '../shared/states'
import { policyURL } from './links'
import { PolicyFields } from './PolicyFields'
import { PreviewButton } from './PreviewButton'

export function EditPolicyPage() {
  const { name = '' } = useParams()
  const get = () => central.policies.getPolicy({ name })
  // Asked once: what is edited does not change under the editor's hands.
  const query = useQuery({ queryKey: ['policy-to-edit', name], queryFn: get, staleTime: Infinity, gcTime: 0, refetchOnMount: 'always' })
  return (
    <Needs role={Role.EDITOR}>
      <Answer of={query}>
        {({ policy }) => (
          <EditDocument
            key={name}
            stored={policy!}
            url={policyURL(name)}
            queryKey="policies"
            save={(document, revision) => central.policies.updatePolicy({ document, revision })}
            newest={async () => (await get()).policy}
            tools={(editor) => <PreviewButton document={editor.draft.text} disabled={editor.broken} />}
          >
            {() => <PolicyFields fixedName />}
          </EditDocument>
        )}
      </Answer>
    </Needs>
  )
}
