import { useQueries } from '@tanstack/react-query'
import { Alert, Flex } from 'antd'
import { Link } from 'react-router'
import type { GetPolicyOverviewResponse, Policy, PreviewPolicyResponse } from '../api/portcullis/v1/policies_pb'
import { central } from '../central'
import { Loading, Nothing } from '../shared/states'
import { useTime } from '../shared/time'
import { useText } from '../text'

// A preview looks at all that central knows; what it says does not change from one minute to the next.
const staleTime = 10 * 60_000

interface Ending {
  policy: Policy
  // Absent where it could not be had.
  preview?: PreviewPolicyResponse
}

// useEnding returns the observations that end soon and would then block something that runs, or may.
function useEnding(policies: Policy[]) {
  return useQueries({
    queries: policies.map(({ document }) => ({
      queryKey: ['overview', 'ending', document],
      queryFn: () => central.policies.previewPolicy({ document }),
      staleTime,
      retry: false,
    })),
    combine: (results) => ({
      pending: results.some(({ isPending }) => isPending),
      ending: results.flatMap(({ data: preview, isPending }, index): Ending[] => {
        const harmless = preview && preview.imagesTotal + preview.startsTotal === 0n
        return isPending || harmless ? [] : [{ policy: policies[index]!, preview }]
      }),
    }),
  })
}

function EndingAlert({ policy: { name, enforceAt }, preview }: Ending) {
  const { t } = useText()
  const time = useTime()
  const impact = preview && t('overview.endingImpact', { images: Number(preview.imagesTotal), nodes: Number(preview.nodesTotal), starts: Number(preview.startsTotal) })
  return (
    <Alert
      type="warning"
      showIcon
      title={<Link to={`/policies/${encodeURIComponent(name)}`}>{t('overview.ending', { name, time: time(enforceAt) })}</Link>}
      description={impact ?? t('overview.endingUnknown')}
    />
  )
}

// Attention lists what will bite soon if nobody does anything.
export function Attention({ policies, rejected }: { policies: GetPolicyOverviewResponse; rejected: number }) {
  const { t } = useText()
  const time = useTime()
  const { pending, ending } = useEnding(policies.ending)
  if (ending.length + policies.expiring.length + rejected === 0) return pending ? <Loading /> : <Nothing says={t('overview.calm')} />
  return (
    <Flex vertical gap={8}>
      {rejected > 0 && (
        <Alert type="error" showIcon title={<Link to="/nodes?state=rejected">{t('overview.refused', { count: rejected })}</Link>} />
      )}
      {ending.map((one) => (
        <EndingAlert key={one.policy.name} {...one} />
      ))}
      {policies.expiring.map((exemption) => (
        <Alert
          key={exemption.name}
          type="info"
          showIcon
          title={<Link to={`/exemptions/${encodeURIComponent(exemption.name)}`}>{t('overview.expiring', { name: exemption.name, time: time(exemption.expireTime) })}</Link>}
        />
      ))}
    </Flex>
  )
}
