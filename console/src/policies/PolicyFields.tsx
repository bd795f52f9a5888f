import { Flex, Switch, Typography } from 'antd'
import { Part } from '../documents/DocumentForm'
import { TextField, useEditor } from '../documents/fields'
import { useText } from '../text'
import { EffectFields } from './EffectFields'
import { PrivilegeFields } from './PrivilegeFields'
import { RiskFields } from './RiskFields'
import { ScopeFields } from './ScopeFields'

function Basics({ fixedName }: { fixedName: boolean }) {
  const { t } = useText()
  const { get, set } = useEditor()
  return (
    <>
      <TextField path={['metadata', 'name']} label={t('policies.name')} max={128} disabled={fixedName} />
      <TextField path={['spec', 'description']} label={t('policies.description')} max={256} area />
      <Flex gap={8} align="center">
        <Switch checked={get(['spec', 'enabled']) === true} aria-label={t('policies.enabled')} onChange={(on) => set(['spec', 'enabled'], on)} />
        <Typography.Text>{t('policies.enabled')}</Typography.Text>
      </Flex>
    </>
  )
}

// PolicyFields is the form of a policy. The name of one that exists is fixed: it says which one it is.
export function PolicyFields({ fixedName }: { fixedName: boolean }) {
  const { t } = useText()
  const template = useEditor().get(['spec', 'template'])
  return (
    <>
      <Part title={t('policies.basics')}>
        <Basics fixedName={fixedName} />
      </Part>
      <Part title={t('policies.effect')}>
        <EffectFields />
      </Part>
      {template === 'RiskyImage' && (
        <Part title={t('policies.risk')}>
          <RiskFields />
        </Part>
      )}
      {template === 'PrivilegedStart' && (
        <Part title={t('policies.privileges')}>
          <PrivilegeFields />
        </Part>
      )}
      <Part title={t('policies.scope')}>
        <ScopeFields />
      </Part>
    </>
  )
}
