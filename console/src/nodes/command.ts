// commandOf is central's command with the token in it. The token comes through the standard input, where
// no list of processes shows it.
export function commandOf(command: string, secret: string) {
  return `printf '%s' '${secret}' | ${command.replace(/ FILE$/, ' -')}`
}
