// actorName is who did something, as a reader knows them: users by their name alone.
export function actorName(actor: string) {
  return actor.replace(/^user:/, '')
}
