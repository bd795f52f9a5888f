import { Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'
import { AuditService, SessionService, UserService } from './api/portcullis/v1/access_pb'
import { EventService } from './api/portcullis/v1/events_pb'
import { ImageService } from './api/portcullis/v1/images_pb'
import { NodeService } from './api/portcullis/v1/nodes_pb'
import { NotificationService } from './api/portcullis/v1/notifications_pb'
import { PolicyService } from './api/portcullis/v1/policies_pb'

let whenExpired = () => {}

// onExpired is told when a call is refused because nobody is logged in any more.
export function onExpired(listener: () => void) {
  whenExpired = listener
}

// expired is for calls that do not go through a client.
export function expired() {
  whenExpired()
}

const expiry: Interceptor = (next) => async (request) => {
  try {
    return await next(request)
  } catch (error) {
    // A login that is refused is no session that has ended.
    if (ConnectError.from(error).code === Code.Unauthenticated && request.service !== SessionService) whenExpired()
    throw error
  }
}

const transport = createConnectTransport({ baseUrl: window.location.origin, interceptors: [expiry] })

export const central = {
  audit: createClient(AuditService, transport),
  events: createClient(EventService, transport),
  images: createClient(ImageService, transport),
  nodes: createClient(NodeService, transport),
  notifications: createClient(NotificationService, transport),
  policies: createClient(PolicyService, transport),
  sessions: createClient(SessionService, transport),
  users: createClient(UserService, transport),
}
