// A desktop client by openid-client, knowing nothing but the issuer and its client id. A line of JSON a step.
import * as client from 'openid-client'

const [issuerUrl, clientId] = process.argv.slice(2)
const say = (line) => console.log(JSON.stringify(line))

const config = await client.discovery(new URL(issuerUrl), clientId, undefined, client.None(), {
  algorithm: 'oauth2',
  execute: [client.allowInsecureRequests],
})

const device = await client.initiateDeviceAuthorization(config, {})
say(device)
const tokens = await client.pollDeviceAuthorizationGrant(config, device)

const me = new URL(`${issuerUrl}/v1/me`)
const read = async (token) => {
  try {
    return await client.fetchProtectedResource(config, token, me, 'GET')
  } catch (error) {
    return error.cause // a challenge of WWW-Authenticate
  }
}
const answer = await read(tokens.access_token)
say({ granted: answer.status, subject: (await answer.json()).id })

const next = await client.refreshTokenGrant(config, tokens.refresh_token)
say({ refreshed: (await read(next.access_token)).status })

await client.tokenRevocation(config, next.refresh_token)
const refused = await fetch(me, { headers: { Authorization: `Bearer ${next.access_token}` } })
say({ revoked: refused.status })
