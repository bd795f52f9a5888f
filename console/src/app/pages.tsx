import { AlertOutlined, BellOutlined, ClusterOutlined, ContainerOutlined, DashboardOutlined, FileProtectOutlined, FileSearchOutlined, SafetyOutlined, TeamOutlined, UserOutlined } from '@ant-design/icons'
import type { ReactNode } from 'react'
import type { RouteObject } from 'react-router'
import { Role } from '../api/portcullis/v1/access_pb'
import type { TextKey } from '../text'

export interface Page {
  path: string
  title: TextKey
  icon: ReactNode
  // Who sees it in the menu; central decides who gets what it shows.
  least: Role
  // The page and those below it, each loaded when it is first opened.
  routes: RouteObject[]
}

// pages is the menu. A new page adds its entry.
export const pages: Page[] = [
  {
    path: '/',
    title: 'app.overview',
    icon: <DashboardOutlined />,
    least: Role.VIEWER,
    routes: [{ index: true, lazy: async () => ({ Component: (await import('../overview/OverviewPage')).OverviewPage }) }],
  },
  {
    path: '/policies',
    title: 'app.policies',
    icon: <SafetyOutlined />,
    least: Role.VIEWER,
    routes: [
      { path: 'policies', lazy: async () => ({ Component: (await import('../policies/PoliciesPage')).PoliciesPage }) },
      { path: 'policies/new', lazy: async () => ({ Component: (await import('../policies/NewPolicyPage')).NewPolicyPage }) },
      { path: 'policies/:name', lazy: async () => ({ Component: (await import('../policies/PolicyPage')).PolicyPage }) },
      { path: 'policies/:name/edit', lazy: async () => ({ Component: (await import('../policies/EditPolicyPage')).EditPolicyPage }) },
    ],
  },
  {
    path: '/events',
    title: 'app.events',
    icon: <AlertOutlined />,
    least: Role.VIEWER,
    routes: [
      { path: 'events', lazy: async () => ({ Component: (await import('../events/EventsPage')).EventsPage }) },
      { path: 'events/:id', lazy: async () => ({ Component: (await import('../events/EventPage')).EventPage }) },
    ],
  },
  {
    path: '/images',
    title: 'app.images',
    icon: <ContainerOutlined />,
    least: Role.VIEWER,
    routes: [
      { path: 'images', lazy: async () => ({ Component: (await import('../images/ImagesPage')).ImagesPage }) },
      { path: 'images/:id', lazy: async () => ({ Component: (await import('../images/ImagePage')).ImagePage }) },
    ],
  },
  {
    path: '/nodes',
    title: 'app.nodes',
    icon: <ClusterOutlined />,
    least: Role.VIEWER,
    routes: [
      { path: 'nodes', lazy: async () => ({ Component: (await import('../nodes/NodesPage')).NodesPage }) },
      { path: 'nodes/join', lazy: async () => ({ Component: (await import('../nodes/JoinPage')).JoinPage }) },
      { path: 'nodes/:id', lazy: async () => ({ Component: (await import('../nodes/NodePage')).NodePage }) },
    ],
  },
  {
    path: '/exemptions',
    title: 'app.exemptions',
    icon: <FileProtectOutlined />,
    least: Role.VIEWER,
    routes: [
      { path: 'exemptions', lazy: async () => ({ Component: (await import('../exemptions/ExemptionsPage')).ExemptionsPage }) },
      { path: 'exemptions/new', lazy: async () => ({ Component: (await import('../exemptions/NewExemptionPage')).NewExemptionPage }) },
      { path: 'exemptions/:name', lazy: async () => ({ Component: (await import('../exemptions/ExemptionPage')).ExemptionPage }) },
      { path: 'exemptions/:name/edit', lazy: async () => ({ Component: (await import('../exemptions/EditExemptionPage')).EditExemptionPage }) },
    ],
  },
  {
    path: '/notifications',
    title: 'app.notifications',
    icon: <BellOutlined />,
    least: Role.ADMIN,
    routes: [
      { path: 'notifications', lazy: async () => ({ Component: (await import('../notifications/NotificationsPage')).NotificationsPage }) },
      { path: 'notifications/new', lazy: async () => ({ Component: (await import('../notifications/ChannelPage')).NewChannelPage }) },
      { path: 'notifications/:name', lazy: async () => ({ Component: (await import('../notifications/ChannelPage')).ChannelPage }) },
    ],
  },
  {
    path: '/users',
    title: 'app.users',
    icon: <TeamOutlined />,
    least: Role.ADMIN,
    routes: [{ path: 'users', lazy: async () => ({ Component: (await import('../users/UsersPage')).UsersPage }) }],
  },
  {
    path: '/audit',
    title: 'app.audit',
    icon: <FileSearchOutlined />,
    least: Role.ADMIN,
    routes: [{ path: 'audit', lazy: async () => ({ Component: (await import('../audit/AuditPage')).AuditPage }) }],
  },
  {
    path: '/profile',
    title: 'app.profile',
    icon: <UserOutlined />,
    least: Role.VIEWER,
    routes: [{ path: 'profile', lazy: async () => ({ Component: (await import('../profile/ProfilePage')).ProfilePage }) }],
  },
]
