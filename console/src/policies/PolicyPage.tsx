import { useQuery } from '@tanstack/react-query'
import { Button, Card, Collapse, Descriptions } from 'antd'
import { Link, useNavigate, useParams } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import type { Policy, PolicyRevision } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { useSession } from '../session/session'
import { actorName } from '../shared/actors'
import { PageHead } from '../shared/PageHead'
import { Pager, usePages } from '../shared/pages'
import { RemoveButton } from '../shared/RemoveButton'
import { Answer } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'
import { Diff } from '../shared/Diff'
import { EnabledSwitch } from './EnabledSwitch'
import { policyURL } from './links'
import { StateTag } from './StateTag'

function Facts({ policy }: { policy: Policy }) {
  const { t, word } = useText()
  const time = useTime()
  const { name, blocked, alerted } = policy
  const items = [
    { key: 'enabled', label: t('policies.enabled'), children: <EnabledSwitch policy={policy} /> },
    { key: 'state', label: t('policies.state'), children: <StateTag policy={policy} /> },
    { key: 'template', label: t('policies.template'), children: word('template', policy.template) },
    {
      key: 'hits',
      label: t('policies.hits'),
      children: <Link to={`/events?policy=${encodeURIComponent(name)}&days=7`}>{t('policies.hitsOf', { blocked: Number(blocked), alerted: Number(alerted) })}</Link>,
    },
    { key: 'changed', label: t('policies.changed'), children: t('policies.by', { time: time(policy.updateTime), name: actorName(policy.updatedBy) }) },
  ]
  return <Descriptions column={{ xs: 1, lg: 2 }} items={items} />
}

// LastOfPage asks for the revision before, which stands on the next page.
function LastOfPage({ name, revision, nextToken }: { name: string; revision: PolicyRevision; nextToken: string }) {
  const before = useQuery({ queryKey: ['policies', 'revision-before', name, nextToken], queryFn: () => central.policies.listPolicyRevisions({ name, pageToken: nextToken, pageSize: 1 }) })
  return <Answer of={before}>{({ revisions }) => <Diff before={revisions[0]?.document ?? ''} after={revision.document} />}</Answer>
}

function History({ name }: { name: string }) {
  const { t } = useText()
  const time = useTime()
  const pages = usePages(['policies', 'revisions', name], (pageToken) => central.policies.listPolicyRevisions({ name, pageToken, pageSize: 20 }))
  const entry = (revision: PolicyRevision, before: PolicyRevision | undefined, nextToken: string) => ({
    key: String(revision.revision),
    label: `${t('policies.revision', { revision: String(revision.revision) })} · ${t('policies.by', { time: time(revision.time), name: actorName(revision.author) })}`,
    children: before || !nextToken ? <Diff before={before?.document ?? ''} after={revision.document} /> : <LastOfPage name={name} revision={revision} nextToken={nextToken} />,
  })
  return (
    <Card title={t('policies.history')}>
      <Answer of={pages.query}>{({ revisions, nextPageToken }) => <Collapse items={revisions.map((revision, index) => entry(revision, revisions[index + 1], nextPageToken))} />}</Answer>
      <Pager {...pages} />
    </Card>
  )
}

export function PolicyPage() {
  const { name = '' } = useParams()
  const { t } = useText()
  const { may } = useSession()
  const navigate = useNavigate()
  const query = useQuery({ queryKey: ['policies', 'one', name], queryFn: () => central.policies.getPolicy({ name }) })
  return (
    <Answer of={query}>
      {({ policy }) => (
        <>
          <PageHead title={name}>
            {may(Role.EDITOR) && (
              <>
                <Button type="primary" onClick={() => void navigate(policyURL(name) + '/edit')}>
                  {t('shared.edit')}
                </Button>
                <RemoveButton
                  name={name}
                  ask={t('policies.deleteAsk', { name })}
                  hint={t('policies.deleteHint')}
                  queryKey="policies"
                  remove={() => central.policies.deletePolicy({ name, revision: policy!.revision })}
                  onRemoved={() => void navigate('/policies')}
                />
              </>
            )}
          </PageHead>
          <Card style={{ marginBottom: 16 }}>
            <Facts policy={policy!} />
          </Card>
          <Card title={t('documents.document')} style={{ marginBottom: 16 }}>
            <pre style={{ margin: 0, overflow: 'auto' }}>{policy!.document}</pre>
          </Card>
          <History name={name} />
        </>
      )}
    </Answer>
  )
}
