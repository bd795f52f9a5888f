import words from './vocabulary.json'

// Every word that a policy may choose. A Go test keeps the file what package policy knows.
export const vocabulary = words

export type Template = 'RiskyImage' | 'PrivilegedStart'
